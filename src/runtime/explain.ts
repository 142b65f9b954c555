import { PodfenceError } from '../errors.ts'
import { canonicalAddress } from '../model/cidr.ts'
import type { Family } from '../model/values.ts'
import type { Packet, Verdict } from '../policy/outcome.ts'
import { type JudgeOptions, judge } from '../policy/verdict.ts'
import type { PolicyView } from '../policy/view.ts'
import type { RenderOptions } from '../render/options.ts'
import { GatedView, type PlacedLocal, PlacedView } from '../render/placed-view.ts'
import type { Settings } from './setting-table.ts'

/** What `explain` is asked. */
export interface ExplainQuestion {
  /** Addresses, ids of workload endpoints, or `node` for the node itself. */
  readonly source: string
  readonly destination: string
  /** IP protocol number. */
  readonly protocol: number
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly icmpType?: number
  readonly icmpCode?: number
}

/** The verdict of one node for one packet. */
export interface ExplainAnswer {
  readonly host: string
  readonly packet: Packet
  readonly verdict: Verdict
  /** The store's revision that this was judged by; null where there is none. */
  readonly revision: string | null
}

export interface ExplainNode {
  readonly host: string
  readonly view: PolicyView
  /** How endpoints hang on the node; null where that is not known: as they should, then. */
  readonly render: RenderOptions | null
  readonly settings: Pick<Settings, 'nodeToWorkload' | 'workloadToNode'>
  /** The node's own addresses, canonical. */
  readonly addresses: readonly string[]
  /** The addresses of a workload endpoint of another node; none when there is no such endpoint. */
  addressesOf(id: string): readonly string[]
  readonly revision: string | null
}

const NODE = 'node'

/** Judges one packet on one node. Throws USAGE when the question names what is not there. */
export function explain(question: ExplainQuestion, node: ExplainNode): ExplainAnswer {
  const packet = packetOf(question, node)
  const { nodeToWorkload, workloadToNode } = node.settings
  const verdict = verdictOf(packet, node, { nodeToWorkload, workloadToNode })
  return { host: node.host, packet, verdict, revision: node.revision }
}

const NOT_ENFORCED = 'not enforced'

/** Policy's verdict as far as rules of ours see the packet, else what becomes of it all the same. */
function verdictOf(packet: Packet, { view, render }: ExplainNode, options: JudgeOptions): Verdict {
  if (render === null) return judge(view, packet, options)
  const placed = new PlacedView(view, render)
  // What the node sends is told by its destination, wherever that hangs.
  if (packet.path === 'from-node') return judge(placed, packet, options)
  const owners = (address: string, named: string | undefined) =>
    placed.localByAddress(address).filter(({ id }) => named === undefined || id === named)
  const senders = owners(packet.source, packet.sourceEndpoint)
  const receivers = packet.path === 'to-node' ? [] : owners(packet.destination, packet.destinationEndpoint)
  const bridged = senders.find(({ unseen }) => unseen?.what === 'bridged')
  if (bridged !== undefined)
    return ofBridge(
      bridged,
      receivers.some(({ unseen }) => unseen?.what === 'bridged'),
    )
  const judged = judge(new GatedView(placed), packet, options)
  const ungated = [...senders, ...receivers].filter(({ unseen }) => unseen?.what === 'all')
  if (ungated.length === 0) return judged
  const steps = ungated.map(({ id, unseen }) => ({
    at: `endpoint ${id}`,
    what: `NOT ENFORCED: ${unseen?.why}`,
  }))
  const by = judged.egress === null && judged.ingress === null ? NOT_ENFORCED : judged.by
  return { ...judged, by, trail: [...steps, ...judged.trail] }
}

/** Of a bridge that passes no packet to iptables, the source check meets only what is routed from it, and knows nobody. */
function ofBridge({ id, unseen }: PlacedLocal, toNeighbour: boolean): Verdict {
  const at = `endpoint ${id}`
  return toNeighbour
    ? {
        allow: true,
        by: NOT_ENFORCED,
        egress: null,
        ingress: null,
        trail: [{ at, what: `NOT ENFORCED between workloads of one bridge: ${unseen?.why}` }],
      }
    : {
        allow: false,
        by: at,
        egress: false,
        ingress: null,
        trail: [{ at, what: `denied: closed, since ${unseen?.why}` }],
      }
}

/** One side of the packet: every address that it may have, and the endpoint when it was named by its id. */
interface Side {
  readonly addresses: readonly string[]
  readonly endpoint: string | null
  readonly isNode: boolean
}

function packetOf(question: ExplainQuestion, node: ExplainNode): Packet {
  const { source: from, destination: to, ...rest } = question
  const sender = sideOf(from, node)
  const receiver = sideOf(to, node)
  if (sender.isNode && receiver.isNode)
    throw new PodfenceError('USAGE', 'Both sides are the node itself; podfence lets that be.')
  const [source, destination] = pairOf(sender, receiver, from, to)
  return {
    family: familyOf(source),
    path: sender.isNode ? 'from-node' : receiver.isNode ? 'to-node' : 'forward',
    source,
    destination,
    ...rest,
    ...(sender.endpoint === null ? {} : { sourceEndpoint: sender.endpoint }),
    ...(receiver.endpoint === null ? {} : { destinationEndpoint: receiver.endpoint }),
  }
}

function sideOf(text: string, node: ExplainNode): Side {
  // Where the node's own addresses are not known, no address stands for them: rules on networks do not match then.
  if (text === NODE) {
    const addresses = node.addresses.length > 0 ? node.addresses : ['0.0.0.0', '::']
    return { addresses, endpoint: null, isNode: true }
  }
  const address = canonicalAddress(text)
  if (address !== null) {
    return { addresses: [address], endpoint: null, isNode: node.addresses.includes(address) }
  }
  const endpoint = node.view.endpoint(text)
  if (endpoint !== undefined) {
    const addresses = [...endpoint.addresses4, ...endpoint.addresses6]
    return { addresses, endpoint: endpoint.id, isNode: false }
  }
  const addresses = node.addressesOf(text)
  if (addresses.length > 0) return { addresses, endpoint: null, isNode: false }
  throw new PodfenceError('USAGE', `${text} is neither an address nor a known workload endpoint.`, {
    next: '`podfence get workloadendpoints` lists them; an id is HOST/ORCHESTRATOR/WORKLOAD/ENDPOINT.',
  })
}

/** The first pair of one family, IPv4 before IPv6. */
function pairOf(sender: Side, receiver: Side, from: string, to: string): readonly [string, string] {
  for (const source of sender.addresses) {
    const destination = receiver.addresses.find(address => familyOf(address) === familyOf(source))
    if (destination !== undefined) return [source, destination]
  }
  throw new PodfenceError('USAGE', `${from} and ${to} have no address of the same family.`)
}

function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4
}
