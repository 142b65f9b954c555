import { PrintedKernel } from '../kernel/fake/printed-kernel.ts'
import type { TrailStep } from '../kernel/fake/walk.ts'
import type { ModelChange } from '../model/values.ts'
import { memberOf } from '../policy/address-set.ts'
import { PolicyEngine } from '../policy/engine.ts'
import type { LocalEndpoint, Packet, SetId, Step } from '../policy/outcome.ts'
import { judge } from '../policy/verdict.ts'
import type { RenderOptions } from '../render/options.ts'
import { Renderer } from '../render/renderer.ts'
import { ALLOW_CHAIN } from '../render/rule-list.ts'

/** Who is asked: policy as it was computed, or the rules as the kernel's tools get them. */
export type EngineName = 'policy' | 'rules'
export const ENGINES: readonly EngineName[] = ['policy', 'rules']

/** What one node does with a packet. A side that is none of its workloads lets everything pass. */
export interface NodeVerdict {
  readonly egress: boolean
  readonly ingress: boolean
  readonly allow: boolean
  readonly by: string
  readonly trail: readonly Step[]
}

/** The interface to the outside of a node that is not there. */
const OUTSIDE = 'outside0'
const MAC = '02:00:00:00:00:01'

/** A node as its agent would have it, without the node: policy, and a kernel that was given the rendered text. */
export class OfflineNode {
  readonly #engine: PolicyEngine
  readonly #options: RenderOptions
  readonly #renderer: Renderer
  readonly #kernel = new PrintedKernel()
  /** Whether the kernel lacks what the engine has taken in. */
  #stale = true

  constructor(host: string, options: RenderOptions) {
    this.#engine = new PolicyEngine(host)
    this.#options = options
    this.#renderer = new Renderer(options)
  }

  update(changes: readonly ModelChange[]): void {
    for (const change of changes) this.#engine.update(change)
    this.#stale = true
  }

  /** What becomes of a connection's first packet here. */
  verdict(packet: Packet, engine: EngineName): NodeVerdict {
    return engine === 'policy' ? this.#judged(packet) : this.#walked(packet)
  }

  #judged(packet: Packet): NodeVerdict {
    const { nodeToWorkload, workloadToNode } = this.#options
    const { allow, by, egress, ingress, trail } = judge(this.#engine, packet, {
      nodeToWorkload,
      workloadToNode,
    })
    return { allow, by, egress: egress ?? true, ingress: ingress ?? true, trail }
  }

  /**
   * Each side is also asked alone, as if the other were outside, since a packet that the sender's rules drop never meets
   * the receiver's.
   */
  #walked(packet: Packet): NodeVerdict {
    this.#bringKernelUp()
    const from = packet.path === 'from-node' ? null : this.#deviceOf(packet.source)
    const to = packet.path === 'to-node' ? null : this.#deviceOf(packet.destination)
    const whole = this.#walk(packet, from, to)
    const alone = (device: string | null, walk: () => { readonly passes: boolean }) =>
      device === null || device === OUTSIDE || whole.passes || walk().passes
    return {
      allow: whole.passes,
      by: whole.by,
      egress: alone(from, () => this.#walk(packet, from, packet.path === 'to-node' ? null : OUTSIDE)),
      ingress: alone(to, () => this.#walk(packet, packet.path === 'from-node' ? null : OUTSIDE, to)),
      trail: whole.trail,
    }
  }

  #walk(packet: Packet, from: string | null, to: string | null) {
    const { family, source, destination, protocol, sourcePort, destinationPort } = packet
    const path = packet.path === 'from-node' ? 'output' : packet.path === 'to-node' ? 'input' : 'forward'
    const { verdict, trail } = this.#kernel.fake.walk({
      family,
      path,
      ...(from === null ? {} : { in: from }),
      ...(to === null ? {} : { out: to }),
      src: source,
      dst: destination,
      protocol,
      ...(sourcePort === undefined ? {} : { sport: sourcePort }),
      ...(destinationPort === undefined ? {} : { dport: destinationPort }),
      mac: MAC,
      hopLimit: 63,
      ctstate: 'NEW',
      // A workload that means itself puts no packet on the wire but through a service.
      translated: source === destination,
    })
    const told = trail.filter(({ chain }) => chain.startsWith('podf-'))
    const passes = verdict === 'ACCEPT'
    return { passes, by: deciding(told, passes), trail: told.map(step) }
  }

  #deviceOf(address: string): string {
    const [owner] = this.#engine.localByAddress(address)
    return owner === undefined ? OUTSIDE : deviceOf(owner, this.#options)
  }

  #bringKernelUp(): void {
    if (!this.#stale) return
    this.#stale = false
    const members = (id: SetId) => [...(this.#engine.setMembers(id)?.addresses() ?? [])].map(memberOf)
    this.#kernel.apply(this.#renderer.render(this.#engine.take(), members))
    const routes: Record<string, string[]> = { '0.0.0.0/0': [OUTSIDE], '::/0': [OUTSIDE] }
    for (const endpoint of this.#engine.endpoints()) {
      const { addresses4, addresses6 } = endpoint
      const device = deviceOf(endpoint, this.#options)
      for (const address of addresses4) routes[`${address}/32`] = [device]
      for (const address of addresses6) routes[`${address}/128`] = [device]
    }
    this.#kernel.fake.setRoutes(routes)
  }
}

/** Where nobody has said how an endpoint hangs, it gets an interface of the first kind that is set. */
function deviceOf({ id, interface: name }: LocalEndpoint, options: RenderOptions): string {
  const [prefix] = options.interfacePrefixes
  const bridge = options.bridges[0]
  if (name === null) return prefix === undefined ? bridge! : `${prefix}-${digits(id)}`
  const isRouted = options.interfacePrefixes.some(candidate => name.startsWith(candidate))
  return isRouted || bridge === undefined ? name : bridge
}

/** Enough to tell the interfaces of a node's pods apart in a message; the rules go by the prefix. */
function digits(id: string): string {
  let sum = 0
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) % 0xffffff
  return sum.toString(36)
}

/** The last rule that let it through for a workload, or the one that dropped it. */
function deciding(trail: readonly TrailStep[], passes: boolean): string {
  const allowed = passes ? trail.findLast(({ effect }) => effect === `goto ${ALLOW_CHAIN}`) : undefined
  const last = allowed ?? trail.at(-1)
  return last === undefined ? 'no rule' : `${last.chain} ${last.rule}`.trim()
}

function step({ table, chain, rule, effect }: TrailStep): Step {
  return { at: `${table} ${chain}`, what: `${rule} => ${effect}` }
}
