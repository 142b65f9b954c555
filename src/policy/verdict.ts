import { canonicalAddress } from '../model/cidr.ts'
import type { LocalEndpoint, Packet, Verdict } from './outcome.ts'
import {
  isDhcp,
  isDns,
  isFirstDhcp,
  isLinkSource,
  isLinkTalk,
  isLinkUpkeep,
  isNeighbourDiscovery,
  isRouterMessage,
} from './packet-kind.ts'
import { Probe } from './probe.ts'
import { Recorder } from './recorder.ts'
import { stackAllows } from './stack-verdict.ts'
import type { PolicyView } from './view.ts'

/** Where a packet comes from or goes to: through a workload interface or bridge of this node, not so, or the node itself. */
export type Place = 'workload' | 'elsewhere' | 'node'

export interface JudgeOptions {
  readonly nodeToWorkload: 'allow' | 'policy'
  readonly workloadToNode: 'allow' | 'drop'
  /** Absent: `node` as the packet's path has it, else `workload` when a local endpoint owns the address. */
  readonly from?: Place
  readonly to?: Place
}

/** The verdict's sides; null: not a workload of this node, or not asked. */
interface Sides {
  readonly allow: boolean
  readonly egress: boolean | null
  readonly ingress: boolean | null
}

/**
 * What the packet path does with a connection's first packet, and why. Where the sender's policy denies, the
 * receiver's is asked all the same, for the reader.
 */
export function judge(view: PolicyView, packet: Packet, options: JudgeOptions): Verdict {
  const recorder = new Recorder()
  const source = canonicalAddress(packet.source) ?? packet.source
  const destination = canonicalAddress(packet.destination) ?? packet.destination
  const sides = new Case(view, { ...packet, source, destination }, options, recorder).decide()
  return { ...sides, by: recorder.by, trail: recorder.trail }
}

/** The verdict alone, for many packets. Their addresses must be canonical. */
export function permits(view: PolicyView, packet: Packet, options: JudgeOptions): boolean {
  return new Case(view, packet, options, null).decide().allow
}

/** One packet before the judge. */
class Case {
  readonly #view: PolicyView
  readonly #packet: Packet
  readonly #options: JudgeOptions
  readonly #recorder: Recorder | null
  readonly #probe: Probe
  readonly #from: Place
  readonly #to: Place
  readonly #senders: readonly LocalEndpoint[]
  readonly #receivers: readonly LocalEndpoint[]

  constructor(view: PolicyView, packet: Packet, options: JudgeOptions, recorder: Recorder | null) {
    this.#view = view
    this.#packet = packet
    this.#options = options
    this.#recorder = recorder
    this.#probe = new Probe(packet)
    this.#senders = packet.path === 'from-node' ? [] : view.localByAddress(packet.source)
    this.#receivers = packet.path === 'to-node' ? [] : view.localByAddress(packet.destination)
    this.#from = packet.path === 'from-node' ? 'node' : (options.from ?? placeOf(this.#senders))
    this.#to = packet.path === 'to-node' ? 'node' : (options.to ?? placeOf(this.#receivers))
  }

  decide(): Sides {
    if (this.#packet.path === 'from-node') return this.#fromNode()
    if (this.#from === 'workload') {
      const refusal = this.#sourceRefusal()
      if (refusal !== null) return this.#end(false, refusal, 'denied by the source check', false, null)
    }
    return this.#packet.path === 'to-node' ? this.#toNode() : this.#forward()
  }

  #fromNode(): Sides {
    const ingress = this.#receivers.length === 0 ? null : true
    if (this.#options.nodeToWorkload === 'allow')
      return this.#end(true, 'node to workload', 'allowed by the setting', null, ingress)
    if (isLinkUpkeep(this.#packet))
      return this.#end(true, 'neighbour discovery', 'always allowed', null, ingress)
    if (ingress === null)
      return this.#end(true, 'no workload', 'neither side is a workload of this node', null, null)
    const allow = this.#ingress(null)
    return { allow, egress: null, ingress: allow }
  }

  #toNode(): Sides {
    if (this.#from !== 'workload')
      return this.#end(true, 'no workload', 'neither side is a workload of this node', null, null)
    if (isLinkUpkeep(this.#packet))
      return this.#end(true, 'neighbour discovery', 'always allowed', true, null)
    if (this.#options.workloadToNode === 'drop')
      return this.#end(false, 'workload to node', 'denied by the setting', false, null)
    if (isDhcp(this.#packet)) return this.#end(true, 'DHCP to the node', 'always allowed', true, null)
    if (isDns(this.#packet)) return this.#end(true, 'DNS to the node', 'always allowed', true, null)
    const { allow } = this.#egress()
    return { allow, egress: allow, ingress: null }
  }

  #forward(): Sides {
    const sent = this.#from === 'workload'
    const received = this.#to === 'workload'
    if (!sent && !received)
      return this.#end(true, 'no workload', 'neither side is a workload of this node', null, null)
    if (sent && isNeighbourDiscovery(this.#packet))
      return this.#end(true, 'neighbour discovery', 'always allowed', true, received || null)
    const { allow: egress, endpoint: sender } = sent ? this.#egress() : { allow: null, endpoint: null }
    if (egress === false && this.#recorder === null) return { allow: false, egress, ingress: null }
    const by = this.#recorder?.by
    const ingress = received ? this.#ingress(sender) : null
    // The sender's denial comes first, so it is what decides.
    if (egress === false && this.#recorder !== null) this.#recorder.by = by!
    return { allow: egress !== false && ingress !== false, egress, ingress }
  }

  /** Raw PREROUTING, for what comes from a workload; null: passes. */
  #sourceRefusal(): string | null {
    const packet = this.#packet
    if (isRouterMessage(packet)) return 'router message'
    if (isLinkSource(packet)) {
      if (isLinkTalk(packet)) return null
      return isDhcp(packet) && this.#options.workloadToNode === 'allow' ? null : 'link-local source'
    }
    if (isFirstDhcp(packet)) return null
    const named = packet.sourceEndpoint
    const known = this.#senders.some(({ id }) => named === undefined || id === named)
    return known ? null : 'unknown source'
  }

  #egress(): { readonly allow: boolean; readonly endpoint: LocalEndpoint | null } {
    const endpoint = this.#owner('source', this.#senders, this.#packet.sourceEndpoint)
    if (endpoint === null) return { allow: false, endpoint }
    if (endpoint.closed !== null) return { allow: this.#closed(endpoint), endpoint }
    if (owns(endpoint, this.#packet.destination)) {
      this.#recorder?.decide('hairpin', `endpoint ${endpoint.id} sends to its own address: allowed`)
      return { allow: true, endpoint }
    }
    this.#recorder?.step(`endpoint ${endpoint.id}`, 'egress')
    return { allow: stackAllows(endpoint.egress, this.#probe, this.#view, this.#recorder), endpoint }
  }

  #ingress(sender: LocalEndpoint | null): boolean {
    const endpoint = this.#owner('destination', this.#receivers, this.#packet.destinationEndpoint)
    if (endpoint === null) return false
    if (endpoint.closed !== null) return this.#closed(endpoint)
    if (endpoint.id === sender?.id) {
      this.#recorder?.decide('hairpin', `endpoint ${endpoint.id} receives from its own address: allowed`)
      return true
    }
    this.#recorder?.step(`endpoint ${endpoint.id}`, 'ingress')
    return stackAllows(endpoint.ingress, this.#probe, this.#view, this.#recorder)
  }

  /** The kernel tells owners of one address apart by interface; without a name the first is taken. */
  #owner(
    side: 'source' | 'destination',
    owners: readonly LocalEndpoint[],
    named: string | undefined,
  ): LocalEndpoint | null {
    const address = this.#packet[side]
    const owner = named === undefined ? owners[0] : owners.find(({ id }) => id === named)
    if (owner === undefined) {
      const who = named === undefined ? 'no endpoint of this node' : `endpoint ${named}`
      this.#recorder?.decide(`unknown ${side}`, `denied: ${who} does not own ${address}`)
      return null
    }
    if (named === undefined && owners.length > 1)
      this.#recorder?.step(
        `endpoint ${owner.id}`,
        `taken for ${address}, which ${owners.length} endpoints own`,
      )
    return owner
  }

  #closed({ id, closed }: LocalEndpoint): false {
    this.#recorder?.decide(`endpoint ${id}`, `denied: closed, since ${closed}`)
    return false
  }

  #end(allow: boolean, at: string, what: string, egress: boolean | null, ingress: boolean | null): Sides {
    this.#recorder?.decide(at, what)
    return { allow, egress, ingress }
  }
}

function placeOf(owners: readonly LocalEndpoint[]): Place {
  return owners.length > 0 ? 'workload' : 'elsewhere'
}

function owns({ addresses4, addresses6 }: LocalEndpoint, address: string): boolean {
  return addresses4.includes(address) || addresses6.includes(address)
}
