import { createHash } from 'node:crypto'
import type { Note } from '../annotation-side.ts'
import { labelTag, namespaceTag, podTag } from '../tag.ts'
import { annotationRules } from './annotation-rules.ts'
import type { Pod } from './pod.ts'
import { inNamespace } from './reserved-label.ts'

export interface PodPolicyOptions {
  /** Whether annotations of pods are policy. */
  readonly annotationPolicy: boolean
  /** What a pod without an annotation accepts under annotation policy: its own namespace, or everything. */
  readonly defaultPolicy: 'isolate' | 'allow'
  /** One profile for all pods that it suits, or one for each pod with the tags of the documents. */
  readonly profiles: 'shared' | 'per-pod'
}

/** Where annotations do not count and, unless NetworkPolicy says otherwise, everything comes in. */
export const SYSTEM_NAMESPACE = 'kube-system'

/** What a profile of pods has of its own; its labels are those of the namespace. */
export interface PodProfile {
  readonly id: string
  readonly namespace: string
  /** The value of `rules`. */
  readonly rules: string
  /** The value of `tags`; null: none. */
  readonly tags: string | null
}

const ALLOW_ALL = [{ action: 'allow' }]

function rulesText(inbound: readonly object[]): string {
  return JSON.stringify({ inbound_rules: inbound, outbound_rules: ALLOW_ALL })
}

/** What pods without an annotation accept where no NetworkPolicy isolates them. */
function defaultRules(namespace: string, options: PodPolicyOptions): readonly object[] {
  const open =
    !options.annotationPolicy || options.defaultPolicy === 'allow' || namespace === SYSTEM_NAMESPACE
  return open ? ALLOW_ALL : [{ action: 'allow', src_selector: inNamespace(namespace) }]
}

/** The profile that the pods of a namespace share, as far as they have no annotation. */
export function defaultProfile(namespace: string, options: PodPolicyOptions): PodProfile {
  return { id: namespace, namespace, rules: rulesText(defaultRules(namespace, options)), tags: null }
}

/** Whether the annotation of a pod is policy. */
export function annotationCounts(pod: Pod, options: PodPolicyOptions): boolean {
  return options.annotationPolicy && pod.annotation !== null && pod.namespace !== SYSTEM_NAMESPACE
}

function tagsOf({ namespace, name, labels }: Pod): string[] {
  const ofLabels = Array.from(labels, ([key, value]) => labelTag(namespace, key, value))
  return [...new Set([podTag(namespace, name), namespaceTag(namespace), ...ofLabels])]
}

/** A pod's profile, and what is wrong with its annotation where that counts. */
export function podProfile(
  pod: Pod,
  options: PodPolicyOptions,
): {
  readonly profile: PodProfile
  readonly annotation: 'valid' | 'refused' | null
  readonly error: Note | null
} {
  const { namespace, name } = pod
  const perPod = options.profiles === 'per-pod'
  const tags = perPod ? JSON.stringify(tagsOf(pod)) : null
  if (!annotationCounts(pod, options)) {
    const profile = defaultProfile(namespace, options)
    return {
      profile: perPod ? { ...profile, id: `${namespace}_${name}`, tags } : profile,
      annotation: null,
      error: null,
    }
  }
  const { rules, error } = annotationRules(pod.annotation!, namespace)
  const hash = createHash('sha256').update(pod.annotation!).digest('hex').slice(0, 32)
  const id = perPod ? `${namespace}_${name}` : `${namespace}.${hash}`
  return {
    profile: { id, namespace, rules: rulesText(rules), tags },
    annotation: error === null ? 'valid' : 'refused',
    error,
  }
}
