import type { Cidr } from './cidr.ts'
import type { Selector } from './selector.ts'

/** The decoded v1 tree, as values. Section 3 of Calico's v1 data model is the source of every field. */

export type Family = 4 | 6
export const FAMILIES: readonly Family[] = [4, 6]

export type Action = 'allow' | 'deny' | 'next-tier' | 'log'
export type Direction = 'inbound' | 'outbound'

/** Both ends included; a single port has `first === last`. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** What a rule asks of a packet, or (under `not`) what it must not be. An absent field asks nothing. */
export interface RuleMatch {
  /** IP protocol number, 1..255. */
  readonly protocol?: number
  readonly srcTag?: string
  readonly dstTag?: string
  readonly srcSelector?: Selector
  readonly dstSelector?: Selector
  readonly srcNet?: Cidr
  readonly dstNet?: Cidr
  readonly srcPorts?: readonly PortRange[]
  readonly dstPorts?: readonly PortRange[]
  readonly icmpType?: number
  readonly icmpCode?: number
}

export interface Rule {
  readonly action: Action
  readonly ipVersion?: Family
  readonly is: RuleMatch
  readonly not: RuleMatch
  readonly logPrefix?: string
}

export interface WorkloadEndpoint {
  readonly host: string
  readonly orchestrator: string
  readonly workload: string
  readonly endpoint: string
  readonly active: boolean
  /** Host-side interface name; null: not known, so the endpoint is told by its addresses alone. */
  readonly interface: string | null
  readonly mac: string | null
  readonly profiles: readonly string[]
  /** Canonical address texts without a prefix length. */
  readonly addresses4: readonly string[]
  readonly addresses6: readonly string[]
  readonly labels: ReadonlyMap<string, string>
}

export interface HostEndpoint {
  readonly host: string
  readonly endpoint: string
  readonly interface: string | null
  readonly addresses4: readonly string[]
  readonly addresses6: readonly string[]
  readonly profiles: readonly string[]
  readonly labels: ReadonlyMap<string, string>
}

export interface RuleSet {
  readonly inbound: readonly Rule[]
  readonly outbound: readonly Rule[]
}

export interface Policy extends RuleSet {
  readonly selector: Selector
  /** `Infinity` when missing or "default": it sorts last. */
  readonly order: number
}

export interface Tier {
  readonly order: number
}

/** Why a value was refused: which key, what is wrong (with its place), and what to do about it. */
export interface Rejection {
  readonly key: string
  readonly reason: string
  readonly remedy: string
}

/**
 * A value that was refused and has no last good version. `remains` is what could still be read of it
 * with certainty; a field that is absent there is unknown.
 */
export interface Broken<Remains> {
  readonly broken: Rejection
  readonly remains: Remains
}

export interface EndpointRemains {
  readonly labels?: ReadonlyMap<string, string>
  readonly profiles?: readonly string[]
}

export interface PolicyRemains {
  readonly selector?: Selector
  readonly order?: number
}

/** One change of the model. `value` null means gone. Ids: see the comment of each kind. */
export type ModelChange =
  /** `HOST/ORCHESTRATOR/WORKLOAD/ENDPOINT` */
  | {
      readonly kind: 'workload-endpoint'
      readonly id: string
      readonly value: WorkloadEndpoint | Broken<EndpointRemains> | null
    }
  /** `HOST/ENDPOINT` */
  | {
      readonly kind: 'host-endpoint'
      readonly id: string
      readonly value: HostEndpoint | Broken<object> | null
    }
  /** the profile's id, for the three parts of a profile */
  | { readonly kind: 'profile-rules'; readonly id: string; readonly value: RuleSet | Broken<object> | null }
  | {
      readonly kind: 'profile-tags'
      readonly id: string
      readonly value: readonly string[] | Broken<object> | null
    }
  | {
      readonly kind: 'profile-labels'
      readonly id: string
      readonly value: ReadonlyMap<string, string> | Broken<object> | null
    }
  /** the tier's name */
  | { readonly kind: 'tier'; readonly id: string; readonly value: Tier | Broken<object> | null }
  /** `TIER/POLICY` */
  | { readonly kind: 'policy'; readonly id: string; readonly value: Policy | Broken<PolicyRemains> | null }
  /** `NAME` for the cluster, `HOST/NAME` for one host; the text as it stands */
  | { readonly kind: 'config'; readonly id: string; readonly value: string | null }

export type Part<Kind extends ModelChange['kind']> = Extract<ModelChange, { kind: Kind }>['value']
