import type { Note } from '../annotation-side.ts'
import type { Pod } from './pod.ts'
import { type PodPolicyOptions, SYSTEM_NAMESPACE } from './pod-profile.ts'
import type { KubernetesProblem } from './problem.ts'
import { podLabel, RESERVED_PREFIX } from './reserved-label.ts'

/** What somebody should know of a pod that can be read; the gravest only. `error`: what is wrong with its annotation. */
export function podProblem(
  key: string,
  pod: Pod,
  options: PodPolicyOptions,
  error: Note | null,
): KubernetesProblem | null {
  if (error !== null)
    return {
      key,
      reason: `the annotation is refused: ${error.message.replace(/\.$/, '')}`,
      remedy: 'Correct the annotation; `podfence annotation` tries one.',
      column: error.column,
      effect: 'no inbound traffic',
    }
  if (options.annotationPolicy && pod.annotation !== null && pod.namespace === SYSTEM_NAMESPACE)
    return {
      key,
      reason: `annotations are no policy in ${SYSTEM_NAMESPACE}`,
      remedy: 'Remove the annotation, or write a NetworkPolicy.',
      effect: 'the annotation is ignored',
    }
  const reserved = Array.from(pod.labels.keys()).filter(label => label.startsWith(RESERVED_PREFIX))
  if (reserved.length === 0) return null
  return {
    key,
    reason: `the labels under ${RESERVED_PREFIX} are podfence's own: ${reserved.join(', ')}`,
    remedy: 'Give the label another prefix.',
    effect: `NetworkPolicy finds them; v1 selectors do as ${reserved.map(podLabel).join(', ')}`,
  }
}
