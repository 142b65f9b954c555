import { canonicalAddress } from '../model/cidr.ts'
import type { KeyChange } from '../source/event.ts'
import { parseObjectKey } from '../source/kubernetes/object-key.ts'

/** Where a packet comes from or goes to. */
export interface WorldSide {
  /** null: outside of the cluster. */
  readonly node: string | null
  readonly address: string
  /** The node itself, and no workload of it. */
  readonly isNode: boolean
}

interface PodPlace {
  readonly node: string
  readonly addresses: readonly string[]
  readonly isHost: boolean
  readonly ports: readonly string[]
}

/** The few fields that are looked at here; anything may be absent or of another shape. */
interface PodShape {
  spec?: { nodeName?: string; hostNetwork?: boolean; containers?: ContainerShape[] }
  status?: { podIP?: string; podIPs?: { ip?: string }[] }
}
interface ContainerShape {
  ports?: { containerPort?: number; protocol?: string }[]
}
interface NodeShape {
  status?: { addresses?: { type?: string; address?: string }[] }
}

/** Where the pods and nodes of a world are, by the names that people call them. */
export class WorldPlaces {
  readonly #pods = new Map<string, PodPlace>()
  /** The addresses of each node, InternalIPs first. */
  readonly #nodes = new Map<string, readonly string[]>()

  take(changes: readonly KeyChange[]): void {
    for (const { key, value } of changes) {
      const parsed = parseObjectKey(key)
      if (parsed === null) continue
      const { resource, namespace, name } = parsed
      const json = value === null ? null : (attempt(value) as object | null)
      if (resource === 'pods') setOrDelete(this.#pods, `${namespace}/${name}`, json && podPlace(json))
      if (resource === 'nodes') setOrDelete(this.#nodes, name, json && nodeAddresses(json))
    }
  }

  pods(): readonly string[] {
    return [...this.#pods.keys()].sort()
  }

  ports(): readonly string[] {
    return [...new Set([...this.#pods.values()].flatMap(({ ports }) => ports))].sort()
  }

  /** null: there is no such place, or it has no address of this family. */
  side(text: string, family: 'IPv4' | 'IPv6'): WorldSide | null {
    const isOf = (address: string) => address.includes(':') === (family === 'IPv6')
    if (text.startsWith('ext:')) {
      const address = canonicalAddress(text.slice(4))
      return address === null || !isOf(address) ? null : { node: null, address, isNode: false }
    }
    if (text.startsWith('node:')) return this.#node(text.slice('node:'.length), isOf)
    const pod = this.#pods.get(text)
    if (pod === undefined) return null
    if (pod.isHost) return this.#node(pod.node, isOf, pod.addresses)
    const address = pod.addresses.find(isOf)
    return address === undefined ? null : { node: pod.node, address, isNode: false }
  }

  #node(name: string, isOf: (address: string) => boolean, known: readonly string[] = []): WorldSide | null {
    const address = [...(this.#nodes.get(name) ?? []), ...known].find(isOf)
    return address === undefined ? null : { node: name, address, isNode: true }
  }
}

function podPlace({ spec, status }: PodShape): PodPlace | null {
  const node = spec?.nodeName
  if (typeof node !== 'string') return null
  const texts = status?.podIPs?.map(({ ip }) => ip) ?? [status?.podIP]
  const ports = (spec?.containers ?? []).flatMap(({ ports = [] }) => ports)
  return {
    node,
    addresses: texts.flatMap(text => canonicalAddress(text ?? '') ?? []),
    isHost: spec?.hostNetwork === true,
    ports: ports.map(({ containerPort, protocol = 'TCP' }) => `${protocol.toLowerCase()}/${containerPort}`),
  }
}

function nodeAddresses({ status }: NodeShape): readonly string[] {
  const listed = status?.addresses ?? []
  const sorted = [
    ...listed.filter(({ type }) => type === 'InternalIP'),
    ...listed.filter(({ type }) => type !== 'InternalIP'),
  ]
  return sorted.flatMap(({ address }) => canonicalAddress(address ?? '') ?? [])
}

function attempt(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function setOrDelete<Value>(map: Map<string, Value>, key: string, value: Value | null): void {
  if (value === null) map.delete(key)
  else map.set(key, value)
}
