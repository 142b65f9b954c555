import type { Cidr } from '../model/cidr.ts'
import type { Action, Direction, Family, PortRange } from '../model/values.ts'

/** What the policy engine says, as values. Nothing here knows of iptables. */

/** `tag:NAME` or `selector:CANONICAL TEXT`. */
export type SetId = string

/** `policy:TIER/NAME:inbound`, `profile:ID:outbound`, ... */
export type RuleListId = string

/** Like the model's RuleMatch, with tags and selectors turned into sets of addresses. */
export interface EffectiveMatch {
  readonly protocol?: number
  readonly srcNet?: Cidr
  readonly dstNet?: Cidr
  readonly srcPorts?: readonly PortRange[]
  readonly dstPorts?: readonly PortRange[]
  readonly icmpType?: number
  readonly icmpCode?: number
  readonly srcSets?: readonly SetId[]
  readonly dstSets?: readonly SetId[]
}

/**
 * A rule that can be rendered and judged as it stands: each family in `families` takes it, the other
 * never sees it; `is.srcNet` and `not.srcNet` (also dst, also protocol) never stand together.
 */
export interface EffectiveRule {
  readonly action: Action
  readonly families: readonly Family[]
  readonly is: EffectiveMatch
  readonly not: EffectiveMatch
  readonly logPrefix?: string
  /** Place in the owner's list as written, from 0; several effective rules may come from one. */
  readonly index: number
}

export interface RuleList {
  readonly id: RuleListId
  readonly owner: { readonly kind: 'policy' | 'profile'; readonly name: string }
  readonly direction: Direction
  readonly rules: readonly EffectiveRule[]
  /** Set when this list is a closed stand-in (deny everything): the reason, for people. */
  readonly closed: string | null
}

export interface PolicyStack {
  readonly tiers: readonly { readonly name: string; readonly lists: readonly RuleListId[] }[]
  readonly profiles: readonly RuleListId[]
}

/** A workload endpoint of this node with everything that decides its traffic. */
export interface LocalEndpoint {
  readonly id: string
  /** null: not known, so the endpoint is told by its addresses alone. */
  readonly interface: string | null
  readonly mac: string | null
  readonly addresses4: readonly string[]
  readonly addresses6: readonly string[]
  /** Set when no traffic at all may pass (inactive, a profile's labels unreadable, ...): the reason. */
  readonly closed: string | null
  /** What may reach the workload. */
  readonly ingress: PolicyStack
  /** What the workload may send. */
  readonly egress: PolicyStack
}

/** How a set changed since the last delta. `created` sets carry all their members in `added`. */
export interface SetDelta {
  readonly created: boolean
  readonly removed: boolean
  readonly added: readonly SetMember[]
  readonly deleted: readonly SetMember[]
}

export interface SetMember {
  readonly family: Family
  readonly address: string
}

/** What changed since the last delta was taken; `null` means gone. Empty maps mean nothing to do. */
export interface PolicyDelta {
  readonly endpoints: ReadonlyMap<string, LocalEndpoint | null>
  readonly lists: ReadonlyMap<RuleListId, RuleList | null>
  readonly sets: ReadonlyMap<SetId, SetDelta>
}

/**
 * A connection's first packet as FORWARD, INPUT or OUTPUT would see it: source before SNAT,
 * destination and port after DNAT. Ports are absent for protocols without them.
 */
export interface Packet {
  readonly family: Family
  readonly path: 'forward' | 'to-node' | 'from-node'
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly icmpType?: number
  readonly icmpCode?: number
  /** IPv6 hop limit; absent: 255, which a neighbour's packet has. */
  readonly hopLimit?: number
  /** Which endpoint sends or receives, where several of this node own the address. */
  readonly sourceEndpoint?: string
  readonly destinationEndpoint?: string
}

/** One step of a decision, for people: where, and what happened there. */
export interface Step {
  readonly at: string
  readonly what: string
}

export interface Verdict {
  readonly allow: boolean
  /**
   * What decided, in the words of the model: `profile web inbound rule 2` (the second), `end of tier k8s`,
   * `unknown source`. When both sides allow, the receiving side's.
   */
  readonly by: string
  /** null where that side is not a workload of this node, or was not asked. */
  readonly egress: boolean | null
  readonly ingress: boolean | null
  readonly trail: readonly Step[]
}
