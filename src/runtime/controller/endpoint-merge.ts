import { areOtherPods, PENDING_PROFILE, uidOf } from '../../model/kubernetes/pod-attachment.ts'
import { NAMESPACE_LABEL, namespaceLabel } from '../../model/kubernetes/reserved-label.ts'
import { refusalOf } from '../../source/event.ts'

type Json = Readonly<Record<string, unknown>>

/** What the CNI plugin says of a pod in its endpoint. `sandbox` is the plugin's alone, so an endpoint with one has the others. */
interface Attachment {
  readonly sandbox: string
  /** Empty, like the nets, when that sandbox has lost its network. */
  readonly name: string
  readonly mac: string | undefined
  readonly network: string | undefined
  readonly uid: string | null
  /** What its sandbox had before it lost its network. */
  readonly lost: readonly string[]
  readonly nets4: readonly string[]
  readonly nets6: readonly string[]
  /** What the pod's status named when the controller took this sandbox over; undefined before it did. */
  readonly statusNets: readonly string[] | undefined
}

/**
 * The endpoint as it is to be: labels and profiles are the controller's (`wanted`), interface, hardware address, sandbox and
 * nets the CNI plugin's, if it has written any (`held`).
 *
 * Where status and plugin name different nets, the one who spoke last is right. Usually that is the plugin, since a pod's new
 * sandbox is attached before its status says so; the status is when it has changed since the controller took the
 * plugin's words over (`taken_over` says what they were) and names what the plugin does not know. Then the plugin is not in
 * use any more, and its fields are left out.
 *
 * Where they speak of different pods of one name, one of them does not know the other's yet: what is attached is closed.
 */
export function mergeEndpoint(wanted: string, held: string | null): string {
  const attachment = held === null ? null : attachmentOf(held)
  const endpoint = attachment === null ? null : objectOf(wanted)
  if (attachment === null || endpoint === null) return wanted
  const status = [...texts(endpoint.ipv4_nets), ...texts(endpoint.ipv6_nets)]
  const { name, mac, network, uid, lost, sandbox, nets4, nets6, statusNets } = attachment
  const attached = {
    name,
    ...(mac === undefined ? {} : { mac }),
    ipv4_nets: nets4,
    ipv6_nets: nets6,
    sandbox,
    ...(network === undefined ? {} : { network }),
    ...(lost.length === 0 ? {} : { lost }),
  }
  if (areOtherPods(uidOf(endpoint), uid))
    return name === ''
      ? wanted
      : JSON.stringify({ state: 'active', ...attached, profile_ids: [PENDING_PROFILE], uid })
  const known = new Set([...nets4, ...nets6, ...lost])
  const agreed = status.every(net => known.has(net))
  if (!agreed && statusNets !== undefined && !same(statusNets, status)) return wanted
  // A sandbox is attached before the pod's status says so: what was agreed last is what both of them said.
  const nets = agreed ? status : (statusNets ?? status)
  return JSON.stringify({ ...endpoint, ...attached, taken_over: { sandbox, nets } })
}

/** Whether the plugin has attached this endpoint and the controller has not taken that over yet. */
export function isNewlyAttached(held: string): boolean {
  const attachment = attachmentOf(held)
  return attachment !== null && attachment.statusNets === undefined
}

/**
 * Whether the controller wrote this endpoint, or the plugin, or both. Nobody else may: pods cannot set reserved labels, and
 * whoever writes endpoints by hand has no reason to.
 */
export function isKubernetesEndpoint(held: string): boolean {
  // The endpoint of a pod that was refused.
  if (refusalOf(held) !== null) return true
  const labels = objectOf(held)?.labels
  return (isObject(labels) && Object.hasOwn(labels, NAMESPACE_LABEL)) || attachmentOf(held) !== null
}

/** Whether these labels of a profile are those that the controller gives the profile of a pod of `namespace`. */
export function areNamespaceLabels(held: string, namespace: string): boolean {
  // Of a namespace that is not known yet.
  if (refusalOf(held) !== null) return true
  return objectOf(held)?.[NAMESPACE_NAME_LABEL] === namespace
}

/** Kubernetes gives each namespace a label with its name. */
const NAMESPACE_NAME_LABEL = namespaceLabel('kubernetes.io/metadata.name')

function attachmentOf(text: string): Attachment | null {
  const object = objectOf(text)
  if (object === null) return null
  const { name, mac, sandbox, network, ipv4_nets, ipv6_nets, taken_over } = object
  if (typeof sandbox !== 'string' || sandbox === '') return null
  return {
    sandbox,
    name: typeof name === 'string' ? name : '',
    mac: typeof mac === 'string' ? mac : undefined,
    network: typeof network === 'string' ? network : undefined,
    uid: uidOf(object),
    lost: texts(object.lost),
    nets4: texts(ipv4_nets),
    nets6: texts(ipv6_nets),
    statusNets: isObject(taken_over) && taken_over.sandbox === sandbox ? texts(taken_over.nets) : undefined,
  }
}

/** What lies in a store may be anything. */
function objectOf(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function texts(list: unknown): readonly string[] {
  return Array.isArray(list) ? list.filter(item => typeof item === 'string') : []
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every(net => b.includes(net))
}
