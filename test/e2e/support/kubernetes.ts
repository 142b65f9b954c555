import type { LabPod } from '../../../src/lab/pod.ts'
import type { ProfileWords, RuleObject, WorldWords } from '../../../src/lab/world.ts'
import { compileAnnotation } from '../../../src/model/annotation.ts'
import { labelTag, namespaceTag, podTag } from '../../../src/model/tag.ts'

/** A pod as Kubernetes knows it. */
export interface KubernetesPod {
  readonly pod: LabPod
  readonly namespace: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotation?: string
}

/** Pods under annotation policy as the documents have it: a profile each, with the tags of namespace, pod and labels. */
export function kubernetesWorld(pods: readonly KubernetesPod[]): WorldWords {
  const profileId = ({ pod, namespace }: KubernetesPod) => `${namespace}_${pod.name}`
  return {
    endpoints: pods.map(each => ({ pod: each.pod, profiles: [profileId(each)] })),
    profiles: Object.fromEntries(pods.map(each => [profileId(each), profileOf(each)])),
  }
}

function profileOf({ pod, namespace, labels = {}, annotation }: KubernetesPod): ProfileWords {
  return {
    tags: [
      namespaceTag(namespace),
      podTag(namespace, pod.name),
      ...Object.entries(labels).map(([key, value]) => labelTag(namespace, key, value)),
    ],
    inbound: inboundRules(namespace, annotation),
  }
}

function inboundRules(namespace: string, annotation: string | undefined): readonly RuleObject[] {
  if (namespace === 'kube-system') return [{ action: 'allow' }]
  if (annotation === undefined) return [{ action: 'allow', src_tag: namespaceTag(namespace) }]
  const compiled = compileAnnotation(annotation, namespace)
  return 'error' in compiled ? [] : compiled.rules.map(rule => ({ ...rule }))
}
