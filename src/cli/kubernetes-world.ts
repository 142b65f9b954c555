import { PodfenceError } from '../errors.ts'
import { canonicalAddress } from '../model/cidr.ts'
import type { KubernetesProblem } from '../model/kubernetes/problem.ts'
import { KubernetesTranslation, type TranslationOptions } from '../model/kubernetes/translation.ts'
import { ModelTree } from '../model/tree.ts'
import type { ModelChange, Rejection } from '../model/values.ts'
import type { Packet, Step } from '../policy/outcome.ts'
import type { RenderOptions } from '../render/options.ts'
import type { KeyChange } from '../source/event.ts'
import { type EngineName, OfflineNode } from './offline-node.ts'
import { WorldPlaces, type WorldSide } from './world-places.ts'

/** A connection's first packet between two places: `NAMESPACE/POD`, `ext:ADDRESS` or `node:NAME`. */
export interface WorldQuestion {
  readonly from: string
  readonly to: string
  readonly family: 'IPv4' | 'IPv6'
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
}

/** `egress`: as the sender's node has it; `ingress`: as the receiver's. A side that is no pod lets everything pass. */
export interface WorldVerdict {
  readonly egress: boolean
  readonly ingress: boolean
  readonly allow: boolean
  readonly by: string
  readonly trail: readonly Step[]
}

export interface WorldOptions {
  readonly translation: Omit<TranslationOptions, 'profiles'>
  readonly render: RenderOptions
}

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const
/** Any port of those that clients take. */
const CLIENT_PORT = 40_000

/** Kubernetes objects, and what would become of packets where podfence enforced them, without a cluster. */
export class KubernetesWorld {
  readonly #options: WorldOptions
  readonly #translation: KubernetesTranslation
  readonly #tree = new ModelTree()
  readonly #places = new WorldPlaces()
  readonly #nodes = new Map<string, OfflineNode>()
  /** All that was told so far, for a node that comes later. */
  readonly #told: ModelChange[] = []

  constructor(options: WorldOptions) {
    this.#options = options
    this.#translation = new KubernetesTranslation({ ...options.translation, profiles: 'shared' })
  }

  /** All objects there are, under their keys. */
  snapshot(entries: ReadonlyMap<string, string>): void {
    this.#places.take([...entries].map(([key, value]) => ({ key, value })))
    this.#tell(this.#tree.snapshot(this.#translation.snapshot(entries)))
  }

  change(changes: readonly KeyChange[]): void {
    this.#places.take(changes)
    this.#tell(this.#tree.change(this.#translation.change(changes)))
  }

  /** Objects that are not taken as they are, and why. */
  problems(): (KubernetesProblem | Rejection)[] {
    return [...this.#translation.problems().values(), ...this.#tree.rejections().values()]
  }

  /** The pods, by `NAMESPACE/NAME`, in that order. */
  pods(): readonly string[] {
    return this.#places.pods()
  }

  /** The ports that pods name, as `tcp/80`. */
  ports(): readonly string[] {
    return this.#places.ports()
  }

  /** Whether a place is there, with an address of this family. */
  has(place: string, family: WorldQuestion['family']): boolean {
    return this.#places.side(place, family) !== null
  }

  /** Throws USAGE for a place that is not there or has no address of the family. */
  verdict(question: WorldQuestion, engine: EngineName): WorldVerdict {
    const { family, protocol, port } = question
    const [source, destination] = [this.#side(question.from, family), this.#side(question.to, family)]
    const packet = {
      family: family === 'IPv4' ? 4 : 6,
      source: source.address,
      destination: destination.address,
      protocol: PROTOCOLS[protocol],
      sourcePort: CLIENT_PORT,
      destinationPort: port,
    } as const
    if (source.isNode && source.node === destination.node && destination.isNode)
      return { egress: true, ingress: true, allow: true, by: 'the node itself', trail: [] }
    const at = (node: string | null) =>
      node === null
        ? null
        : this.#node(node).verdict({ ...packet, path: pathAt(node, source, destination) }, engine)
    if (source.node === destination.node)
      return at(source.node) ?? { egress: true, ingress: true, allow: true, by: 'no workload', trail: [] }
    const [here, there] = [at(source.node), at(destination.node)]
    const egress = here?.egress ?? true
    const ingress = there?.ingress ?? true
    const decided = !egress || there === null ? here : there
    return {
      egress,
      ingress,
      allow: egress && ingress,
      by: decided?.by ?? 'no workload',
      trail: [...(here?.trail ?? []), ...(there?.trail ?? [])],
    }
  }

  #side(text: string, family: 'IPv4' | 'IPv6'): WorldSide {
    const side = this.#places.side(text, family)
    if (side !== null) return side
    const next = 'Name NAMESPACE/POD, ext:ADDRESS or node:NAME.'
    throw new PodfenceError('USAGE', `${text} is no place with an ${family} address here.`, { next })
  }

  #node(name: string): OfflineNode {
    let node = this.#nodes.get(name)
    if (node === undefined) {
      node = new OfflineNode(name, this.#options.render)
      node.update(this.#told)
      this.#nodes.set(name, node)
    }
    return node
  }

  #tell(changes: readonly ModelChange[]): void {
    for (const node of this.#nodes.values()) node.update(changes)
    this.#told.push(...changes)
  }
}

function pathAt(node: string, source: WorldSide, destination: WorldSide): Packet['path'] {
  if (source.isNode && source.node === node) return 'from-node'
  return destination.isNode && destination.node === node ? 'to-node' : 'forward'
}

/** Throws USAGE for what is no question; its sentence says what is missing. */
export function worldQuestion(given: Readonly<Record<string, unknown>>): WorldQuestion {
  const { from, to, family, protocol, port } = given
  const wrong = (sentence: string) => new PodfenceError('USAGE', sentence)
  if (typeof from !== 'string' || typeof to !== 'string') throw wrong('"from" and "to" must be texts.')
  if (family !== 'IPv4' && family !== 'IPv6') throw wrong('"family" must be "IPv4" or "IPv6".')
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP')
    throw wrong('"protocol" must be "TCP", "UDP" or "SCTP".')
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65_535)
    throw wrong('"port" must be a number from 0 to 65535.')
  for (const side of [from, to])
    if (side.startsWith('ext:') && canonicalAddress(side.slice(4)) === null)
      throw wrong(`${side} names no address.`)
  return { from, to, family, protocol, port: port as number }
}
