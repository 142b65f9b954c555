import { decodeAddresses } from '../address-field.ts'
import { asObject, type JsonObject, listMember } from '../json.ts'
import { Refusal, show } from '../refusal.ts'
import { decodeNamedPorts } from './container-ports.ts'
import { field, structField, structOf } from './go-json.ts'
import type { NamedPort } from './named-ports.ts'
import { decodeObjectAnnotation, decodeObjectLabels, decodePodUid } from './object-metadata.ts'
import { isSubdomain } from './object-name.ts'

/** A pod that is a workload of its own on some node. */
export interface Pod {
  readonly namespace: string
  readonly name: string
  /** As the container runtime knows it: a static pod has another than the object that mirrors it. */
  readonly uid: string | null
  readonly node: string
  readonly labels: ReadonlyMap<string, string>
  /** Canonical; empty as long as none is assigned. */
  readonly addresses4: readonly string[]
  readonly addresses6: readonly string[]
  readonly ports: readonly NamedPort[]
  /** The text of its policy annotation. */
  readonly annotation: string | null
}

const ANNOTATION = 'projectcalico.org/policy'
const OLDER_ANNOTATION = 'policy'

/** Phases in which the address of before may have another owner already. */
const FINISHED: ReadonlySet<unknown> = new Set(['Succeeded', 'Failed'])

function addressesOf(status: JsonObject): { addresses4: readonly string[]; addresses6: readonly string[] } {
  const list = listMember(status, 'podIPs', 'status.podIPs').map((json, at) => {
    const place = `status.podIPs[${at}]`
    return [field(structOf(json, place), 'ip'), place] as const
  })
  if (list.length === 0) list.push([field(status, 'podIP'), 'status.podIP'])
  const addresses: string[] = []
  for (const [value, place] of list) {
    if (value === undefined || value === '') continue
    if (typeof value !== 'string')
      throw new Refusal(place, `${show(value)} is not an address`, 'Write an IPv4 or IPv6 address.')
    addresses.push(value)
  }
  const [six, four] = [
    addresses.filter(text => text.includes(':')),
    addresses.filter(text => !text.includes(':')),
  ]
  return {
    addresses4: decodeAddresses({ 'status.podIPs': four }, 'status.podIPs', 4),
    addresses6: decodeAddresses({ 'status.podIPs': six }, 'status.podIPs', 6),
  }
}

/** Where a pod runs with a network of its own; null: nowhere, not yet, or no longer. Throws Refusal. */
export function nodeOfPod(json: unknown): string | null {
  const pod = asObject(json, '')
  const spec = structField(pod, 'spec', 'spec')
  const status = structField(pod, 'status', 'status')
  const node = field(spec, 'nodeName') ?? ''
  if (node === '' || field(spec, 'hostNetwork') === true || FINISHED.has(field(status, 'phase'))) return null
  if (typeof node === 'string' && isSubdomain(node)) return node
  throw new Refusal('spec.nodeName', `${show(node)} is not the name of a node`, 'Write the name of a node.')
}

/** A pod's JSON value; null for a pod that is no workload of its own on a node. Throws Refusal. */
export function decodePod(json: unknown, namespace: string, name: string): Pod | null {
  const node = nodeOfPod(json)
  if (node === null) return null
  const pod = asObject(json, '')
  return {
    namespace,
    name,
    uid: decodePodUid(pod),
    node,
    labels: decodeObjectLabels(pod),
    ...addressesOf(structField(pod, 'status', 'status')),
    ports: decodeNamedPorts(structField(pod, 'spec', 'spec')),
    annotation: decodeObjectAnnotation(pod, ANNOTATION) ?? decodeObjectAnnotation(pod, OLDER_ANNOTATION),
  }
}
