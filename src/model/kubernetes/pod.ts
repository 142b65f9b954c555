import { canonicalAddress } from '../cidr.ts'
import { asObject, type JsonObject, listMember, member } from '../json.ts'
import { decodeLabels } from '../labels.ts'
import { Refusal, show } from '../refusal.ts'
import { decodePortProtocol, isPortName, isPortNumber } from './policy-port.ts'
import { podLabel, portLabel } from './reserved-label.ts'

/** What of a pod decides its traffic. */
export interface Pod {
  readonly namespace: string
  readonly name: string
  /** The node that it runs on, with an address of its own there; null: it has no endpoint. */
  readonly node: string | null
  /** Own labels, and the numbers of its named ports, as labels of its endpoint. */
  readonly labels: ReadonlyMap<string, string>
  /** The labels of its named ports with their numbers. */
  readonly ports: ReadonlyMap<string, string>
  /** Canonical; empty while it has none. */
  readonly addresses: readonly string[]
  readonly annotation: string | null
}

/** The key of old, read where the newer one is absent. */
const ANNOTATIONS = ['projectcalico.org/policy', 'policy']

/** A core/v1 Pod, trimmed or not. Throws Refusal where the API could not hold it. */
export function decodePod(json: unknown, namespace: string, name: string): Pod {
  const pod = asObject(json, '')
  const metadata = part(pod, 'metadata')
  const spec = part(pod, 'spec')
  const status = part(pod, 'status')
  const ports = namedPorts(spec)
  const own = decodeLabels(member(metadata, 'labels'), 'metadata.labels')
  return {
    namespace,
    name,
    node: hostOf(spec, status),
    labels: new Map([...[...own].map(([key, value]) => [podLabel(key), value] as const), ...ports]),
    ports,
    addresses: decodeAddresses(status),
    annotation: decodeAnnotation(metadata),
  }
}

/** The node of a pod, where it can be read, whatever else cannot; for a closed endpoint of a refused pod. */
export function nodeOf(json: unknown): string | null {
  try {
    const pod = asObject(json, '')
    return hostOf(part(pod, 'spec'), part(pod, 'status'))
  } catch (error) {
    if (error instanceof Refusal) return null
    throw error
  }
}

function part(object: JsonObject, name: string): JsonObject {
  return asObject(member(object, name) ?? {}, name)
}

/**
 * A pod that uses its node's network is the node itself, and one that has ended owns its address no more, though the
 * API goes on to tell it.
 */
function hostOf(spec: JsonObject, status: JsonObject): string | null {
  const phase = member(status, 'phase')
  if (member(spec, 'hostNetwork') === true || phase === 'Succeeded' || phase === 'Failed') return null
  const node = member(spec, 'nodeName') ?? ''
  if (typeof node !== 'string')
    throw new Refusal('spec.nodeName', `${show(node)} is not a node's name`, 'Write it as text.')
  return node === '' ? null : node
}

function decodeAnnotation(metadata: JsonObject): string | null {
  const annotations = asObject(member(metadata, 'annotations') ?? {}, 'metadata.annotations')
  const key = ANNOTATIONS.find(candidate => member(annotations, candidate) !== undefined)
  if (key === undefined) return null
  const text = member(annotations, key)
  if (typeof text === 'string') return text
  throw new Refusal(`metadata.annotations[${key}]`, `${show(text)} is not text`, 'Put it into quotes.')
}

/** In `podIPs`, in whatever order; older servers tell one as `podIP`. */
function decodeAddresses(status: JsonObject): string[] {
  const listed = listMember(status, 'podIPs', 'status.podIPs').map((each, at) =>
    member(asObject(each, `status.podIPs[${at}]`), 'ip'),
  )
  const single = member(status, 'podIP') ?? ''
  const texts = listed.length > 0 || single === '' ? listed : [single]
  return texts.map(text => {
    const address = typeof text === 'string' ? canonicalAddress(text) : null
    if (address !== null) return address
    throw new Refusal('status.podIPs', `${show(text)} is not an address`, 'Name IPv4 and IPv6 addresses.')
  })
}

/** Of its containers and of the init containers that stay beside them; the first of doubles holds. */
function namedPorts(spec: JsonObject): Map<string, string> {
  const containers = [
    ...objects(spec, 'containers'),
    ...objects(spec, 'initContainers').filter(each => member(each, 'restartPolicy') === 'Always'),
  ]
  const ports = new Map<string, string>()
  for (const container of containers)
    for (const port of objects(container, 'ports')) {
      const name = member(port, 'name') ?? ''
      const number = member(port, 'containerPort')
      if (!isPortName(name) || !isPortNumber(number)) continue
      const label = portLabel(decodePortProtocol(member(port, 'protocol'), 'protocol'), name)
      if (!ports.has(label)) ports.set(label, String(number))
    }
  return ports
}

function objects(object: JsonObject, name: string): JsonObject[] {
  return listMember(object, name, name).map((each, at) => asObject(each, `${name}[${at}]`))
}
