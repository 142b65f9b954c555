import { createHash } from 'node:crypto'
import { labelTag, namespaceTag, podTag } from '../tag.ts'
import { namespaceTerm } from './network-policy.ts'
import type { Pod } from './pod.ts'
import { type AnnotationReading, readAnnotation } from './pod-annotation.ts'
import type { RuleJson } from './policy-rules.ts'

export interface PodPolicyOptions {
  /** Whether annotations are policy, and pods without one keep to `defaultPolicy`. */
  readonly annotationPolicy: boolean
  readonly defaultPolicy: 'isolate' | 'allow'
  /**
   * Whether pods share profiles, or each has one of its own with the documented tags, for other readers of the tree;
   * nothing that podfence enforces goes by tags.
   */
  readonly profiles: 'shared' | 'per-pod'
}

/** The namespace that stays open and whose annotations mean nothing. */
const OPEN_NAMESPACE = 'kube-system'

/** What stands in for NetworkPolicy where none isolates a pod: who may reach it by its annotation, or by default. */
export interface PodProfile {
  readonly id: string
  readonly namespace: string
  readonly inbound: readonly RuleJson[]
  /** null: none are kept. */
  readonly tags: readonly string[] | null
  /** null: no annotation counts. */
  readonly annotation: AnnotationReading | null
  /** An annotation is there that means nothing in its namespace. */
  readonly ignored: boolean
}

const ALLOW: RuleJson = { action: 'allow' }

/** The profile of a pod. Pods that share one have equal profiles. */
export function podProfile(pod: Pod, options: PodPolicyOptions): PodProfile {
  const { namespace, name } = pod
  const isOpen = namespace === OPEN_NAMESPACE
  const counts = options.annotationPolicy && pod.annotation !== null
  const text = counts && !isOpen ? pod.annotation : null
  const annotation = text === null ? null : readAnnotation(text, namespace)
  const shared = text === null ? namespace : `${namespace}.${digest(text)}`
  const perPod = options.profiles === 'per-pod'
  return {
    id: perPod ? `${namespace}_${name}` : shared,
    namespace,
    inbound: inboundRules(annotation, isOpen, namespace, options),
    tags: perPod ? tagsOf(pod) : null,
    annotation,
    ignored: counts && isOpen,
  }
}

function inboundRules(
  annotation: AnnotationReading | null,
  isOpen: boolean,
  namespace: string,
  { annotationPolicy, defaultPolicy }: PodPolicyOptions,
): readonly RuleJson[] {
  if (annotation !== null) return 'rules' in annotation ? annotation.rules : []
  if (isOpen || !annotationPolicy || defaultPolicy === 'allow') return [ALLOW]
  return [{ action: 'allow', src_selector: namespaceTerm(namespace) }]
}

/** As the documents list them: the pod, its namespace, each label. */
function tagsOf({ namespace, name, labels, ports }: Pod): string[] {
  const own = [...labels].filter(([key]) => !ports.has(key))
  const tags = own.map(([key, value]) => labelTag(namespace, key, value))
  return [...new Set([podTag(namespace, name), namespaceTag(namespace), ...tags])]
}

/** Enough that nobody finds two annotations with one. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
