import {
  areOtherPods,
  PENDING_PROFILE,
  type PodAttachment,
  uidOf,
} from '../model/kubernetes/pod-attachment.ts'
import { NAMESPACE_LABEL } from '../model/kubernetes/reserved-label.ts'
import { ROOT } from '../source/v1-tree.ts'

/** Under which the endpoints of a host's pods lie. */
export function podPrefix(host: string): string {
  return `${ROOT}host/${host}/workload/k8s/`
}

/** `pod` as NAMESPACE/NAME. */
export function endpointKey(host: string, pod: string): string {
  return `${podPrefix(host)}${pod.replace('/', '.')}/endpoint/eth0`
}

/** Who attached an endpoint last, in fields that the model ignores. */
export interface Attached {
  readonly sandbox: string | null
  readonly network: string | null
}

type Fields = Readonly<Record<string, unknown>>

/**
 * The endpoint's value with the attachment in it. What the controller says of this pod (labels, profiles) stays as it is;
 * where it has said nothing yet, or of an earlier pod of that name, the endpoint gets the profile that never exists, and so
 * is closed until it does.
 */
export function attachedValue(stored: string | null, attachment: PodAttachment, network: string): string {
  const { interface: name, mac, addresses, sandbox, uid } = attachment
  const last = fieldsOf(stored)
  const before = areOtherPods(uidOf(last), uid) ? {} : last
  const { mac: _, lost: __, ...kept } = before
  const nets = (six: boolean) =>
    addresses.filter(address => address.includes(':') === six).map(address => `${address}/${six ? 128 : 32}`)
  const named = before.profile_ids !== undefined || before.profile_id !== undefined
  return JSON.stringify({
    ...kept,
    state: 'active',
    name,
    ...(mac === null ? {} : { mac }),
    ...(named ? {} : { profile_ids: [PENDING_PROFILE] }),
    ipv4_nets: nets(false),
    ipv6_nets: nets(true),
    sandbox,
    network,
    ...(uid === null ? {} : { uid }),
  })
}

/**
 * The endpoint's value when `sandbox` has lost its network, or null when it is to go. What the controller has written goes
 * with the pod, by the controller; without an endpoint till then it would write what the pod's status still says.
 */
export function detachedValue(stored: string, sandbox: string): string | null {
  const { mac: _, ...kept } = fieldsOf(stored)
  const { labels, lost } = kept
  const controlled = typeof labels === 'object' && labels !== null && Object.hasOwn(labels, NAMESPACE_LABEL)
  if (!controlled) return null
  const nets = [kept.ipv4_nets, kept.ipv6_nets].flat().filter(net => typeof net === 'string')
  const empty = { name: '', ipv4_nets: [], ipv6_nets: [], sandbox }
  // A status that comes late may still name what has gone.
  return JSON.stringify({ ...kept, ...empty, lost: nets.length > 0 ? nets : lost })
}

/** A value that cannot be read was attached by nobody. */
export function attachedBy(stored: string): Attached {
  const { sandbox, network } = fieldsOf(stored)
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null)
  return { sandbox: text(sandbox), network: text(network) }
}

function fieldsOf(stored: string | null): Fields {
  try {
    const json = JSON.parse(stored ?? '{}') as unknown
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Fields) : {}
  } catch {
    return {}
  }
}
