import { compileAnnotation } from '../model/annotation.ts'
import { labelTag, namespaceTag, podTag } from '../model/tag.ts'
import type { ProfileWords, RuleObject } from './world.ts'

/** A pod of the demo as its manifest would describe it. */
export interface DemoPod {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** `projectcalico.org/policy`; without it the namespace is the border. */
  readonly annotation?: string
}

/** The documents' annotations, word for word, each on a pod. */
export const DEMO_PODS: readonly DemoPod[] = [
  {
    namespace: 'default',
    name: 'frontend',
    labels: { tier: 'frontend' },
    annotation: 'allow tcp to port 80; allow udp to port 80',
  },
  {
    namespace: 'default',
    name: 'redis',
    labels: { tier: 'backend' },
    annotation: 'allow from label tier=frontend',
  },
  { namespace: 'default', name: 'batch', labels: { job: 'batch' } },
  {
    namespace: 'production',
    name: 'pod1',
    labels: { role: 'backend', access: 'backend' },
    annotation: 'allow from label role=backend; allow tcp to ports 4001,443',
  },
  {
    namespace: 'production',
    name: 'db',
    labels: { role: 'db' },
    annotation: 'allow tcp from label access=backend to port 4001',
  },
  { namespace: 'production', name: 'report', labels: { role: 'report' } },
  { namespace: 'kube-system', name: 'dns', labels: { 'k8s-app': 'kube-dns' } },
]

export const DEMO_PORTS = [80, 4001] as const

/** The change that is made live: from every frontend of the namespace to its web port alone. */
export const DEMO_CHANGE = {
  pod: 'default/redis',
  annotation: 'allow tcp from label tier=frontend to port 4001; allow tcp from label job=batch to port 80',
} as const

/** A pod's whole name: `default/redis`. */
export function wholeName({ namespace, name }: DemoPod): string {
  return `${namespace}/${name}`
}

/** The v1 profile of a pod: the documented tags, and what its annotation, or else its namespace, lets in. */
export function demoProfile(pod: DemoPod): ProfileWords {
  const { namespace, name, labels } = pod
  const tags = [
    namespaceTag(namespace),
    podTag(namespace, name),
    ...Object.entries(labels).map(([key, value]) => labelTag(namespace, key, value)),
  ]
  return { tags, inbound: inboundRules(pod) }
}

function inboundRules({ namespace, annotation }: DemoPod): readonly RuleObject[] {
  if (namespace === 'kube-system') return [{ action: 'allow' }]
  if (annotation === undefined) return [{ action: 'allow', src_tag: namespaceTag(namespace) }]
  const compiled = compileAnnotation(annotation, namespace)
  // A bad annotation closes its pod.
  return 'error' in compiled ? [] : compiled.rules.map(rule => ({ ...rule }))
}

/**
 * What the documents promise, written down by hand: whether `to` takes TCP from `from` on `port`. The demo
 * compares packets with this, not with what podfence computes.
 */
export function promised(from: string, to: string, port: number, changed: boolean): boolean {
  if (from === to) return true
  switch (to) {
    case 'default/frontend':
      return port === 80
    case 'default/redis':
      if (!changed) return from === 'default/frontend'
      return (from === 'default/frontend' && port === 4001) || (from === 'default/batch' && port === 80)
    case 'default/batch':
      return from.startsWith('default/')
    case 'production/pod1':
      return port === 4001
    case 'production/db':
      return from === 'production/pod1' && port === 4001
    case 'production/report':
      return from.startsWith('production/')
    default:
      return to.startsWith('kube-system/')
  }
}
