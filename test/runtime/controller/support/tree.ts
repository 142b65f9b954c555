import { attachedValue } from '../../../../src/cni/etcd-endpoint.ts'
import { READY_KEY, ROOT } from '../../../../src/source/v1-tree.ts'

export { READY_KEY }

/** How `pod` (NAMESPACE/NAME) is to be: as the translation writes it. */
export interface PodWords {
  readonly node?: string
  readonly nets?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  /** The Namespace is not known. */
  readonly noNamespace?: boolean
}

export function endpointKey(pod: string, node = 'node1'): string {
  return `${ROOT}host/${node}/workload/k8s/${pod.replace('/', '.')}/endpoint/eth0`
}

export function profileKey(pod: string, part: 'rules' | 'tags' | 'labels'): string {
  return `${ROOT}policy/profile/${pod.replace('/', '_')}/${part}`
}

export function policyKey(policy: string, tier: 'ingress' | 'egress' = 'ingress'): string {
  return `${ROOT}policy/tier/kubernetes-${tier}/policy/${policy}`
}

export function tierKey(tier: 'ingress' | 'egress'): string {
  return `${ROOT}policy/tier/kubernetes-${tier}/metadata`
}

export function endpointText(pod: string, { nets = [], labels = {} }: PodWords = {}): string {
  const [namespace = ''] = pod.split('/')
  return JSON.stringify({
    state: 'active',
    name: '',
    ipv4_nets: nets.filter(net => !net.includes(':')),
    ipv6_nets: nets.filter(net => net.includes(':')),
    profile_ids: [pod.replace('/', '_')],
    labels: { ...labels, 'podfence/namespace': namespace },
  })
}

/** A pod's four keys. */
export function podTree(pod: string, words: PodWords = {}): Map<string, string> {
  const [namespace = ''] = pod.split('/')
  const labels = { 'podfence/ns/kubernetes.io/metadata.name': namespace }
  return new Map([
    [endpointKey(pod, words.node), endpointText(pod, words)],
    [profileKey(pod, 'rules'), JSON.stringify({ inbound_rules: [], outbound_rules: [{ action: 'allow' }] })],
    [profileKey(pod, 'tags'), JSON.stringify([pod.replace('/', '_')])],
    [
      profileKey(pod, 'labels'),
      words.noNamespace ? '\u0000the namespace is not known' : JSON.stringify(labels),
    ],
  ])
}

export function policyText(selector = 'all()', rules: readonly object[] = []): string {
  return JSON.stringify({
    selector,
    order: 1000,
    inbound_rules: rules,
    outbound_rules: [{ action: 'next-tier' }],
  })
}

/** A whole tree as the translation writes it: the tiers, and these. */
export function treeOf(...parts: readonly ReadonlyMap<string, string>[]): Map<string, string> {
  return new Map([
    [tierKey('ingress'), '{"order":1000}'],
    [tierKey('egress'), '{"order":2000}'],
    ...parts.flatMap(part => [...part]),
  ])
}

/** What the CNI plugin makes of an endpoint: it keeps what it does not know. */
export function attached(value: string | null, nets: readonly string[], sandbox = 'sandbox-1'): string {
  const attachment = {
    ...{ interface: 'cali0123456789a', mac: 'ee:ee:ee:ee:ee:ee', sandbox, uid: null },
    addresses: nets.map(net => net.replace(/\/.*/, '')),
  }
  return attachedValue(value, attachment, 'pods')
}
