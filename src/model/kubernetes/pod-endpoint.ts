import { printKey } from '../key.ts'
import type { Pod } from './pod.ts'
import { areOtherPods, PENDING_PROFILE, type PodAttachment } from './pod-attachment.ts'
import { ANNOTATION_LABEL, NAMESPACE_LABEL, podLabel, portLabel } from './reserved-label.ts'

/** The key of a pod's endpoint. */
export function endpointKey(node: string, namespace: string, name: string): string {
  return printKey({
    kind: 'workload-endpoint',
    host: node,
    orchestrator: 'k8s',
    workload: `${namespace}.${name}`,
    endpoint: 'eth0',
  })
}

/** A pod's endpoint as the v1 tree has it. `annotation`: what became of its annotation, null where it does not count. */
export function endpointText(pod: Pod, profile: string, annotation: 'valid' | 'refused' | null): string {
  const labels: Record<string, string> = {}
  for (const [key, value] of pod.labels) labels[podLabel(key)] = value
  labels[NAMESPACE_LABEL] = pod.namespace
  if (annotation !== null) labels[ANNOTATION_LABEL] = annotation
  for (const { name, number } of pod.ports) labels[portLabel(name)] = String(number)
  return JSON.stringify({
    state: 'active',
    // The interface is not known, so the endpoint is found by its addresses.
    name: '',
    ipv4_nets: pod.addresses4.map(address => `${address}/32`),
    ipv6_nets: pod.addresses6.map(address => `${address}/128`),
    profile_ids: [profile],
    labels,
    ...(pod.uid === null ? {} : { uid: pod.uid }),
  })
}

/**
 * The endpoint with what is known of its attachment. Where that is another pod's of the same name, whose policy is not known
 * yet, it is closed; what such a pod has lost says nothing.
 */
export function attachedText(endpoint: string, attachment: PodAttachment): string {
  const { interface: name, mac, addresses } = attachment
  const known = JSON.parse(endpoint)
  const other = areOtherPods(known.uid ?? null, attachment.uid)
  if (other && name === '') return endpoint
  const { state, profile_ids, labels, uid } = other
    ? { ...known, profile_ids: [PENDING_PROFILE], labels: undefined, uid: attachment.uid }
    : known
  return JSON.stringify({
    state,
    name,
    ...(mac === null ? {} : { mac }),
    ipv4_nets: addresses.filter(address => !address.includes(':')).map(address => `${address}/32`),
    ipv6_nets: addresses.filter(address => address.includes(':')).map(address => `${address}/128`),
    profile_ids,
    labels,
    uid,
  })
}
