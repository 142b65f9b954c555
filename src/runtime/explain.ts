import { PodfenceError } from '../errors.ts'
import { canonicalAddress } from '../model/cidr.ts'
import type { Family } from '../model/values.ts'
import type { Packet, Verdict } from '../policy/outcome.ts'
import { judge } from '../policy/verdict.ts'
import type { PolicyView } from '../policy/view.ts'
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
  const verdict = judge(node.view, packet, { nodeToWorkload, workloadToNode })
  return { host: node.host, packet, verdict, revision: node.revision }
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
