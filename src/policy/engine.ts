import type { Broken, Direction, ModelChange, Part, RuleSet, Tier } from '../model/values.ts'
import { ActiveRules, type RuleSource } from './active-rules.ts'
import type { Members } from './address-set.ts'
import { isBroken } from './broken.ts'
import { Cluster, type ClusterCounts } from './cluster.ts'
import { DepartedAddresses } from './departed-addresses.ts'
import { type Interests, interests } from './interests.ts'
import { LocalEndpoints } from './local-endpoints.ts'
import type { LocalEndpoint, PolicyDelta, RuleList, RuleListId, SetDelta, SetId } from './outcome.ts'
import { PolicyPicks } from './policy-picks.ts'
import type { RuleOwner } from './rule-list-id.ts'
import type { PolicyView } from './view.ts'
import { type PolicyWarning, warningsOf } from './warning.ts'

/** Figures for the metrics. */
export interface PolicyCounts extends ClusterCounts {
  readonly localEndpoints: number
  readonly tiers: number
  readonly policies: number
  /** Profiles that have rules. */
  readonly profiles: number
  readonly activeLists: number
}

/**
 * Computes what holds on one node from the model's values, one change at a time. What it says depends on the
 * present values only, never on the order in which they came.
 *
 *   endpoints, profile tags, profile labels ──> Cluster ──> ActiveSets ────────────┐ members, completeness
 *   policies ──> PolicyPicks ──┐                                │                  │
 *   tiers, profile rules ──────┴──> LocalEndpoints ─> ActiveRules (lists, sets) ───┴──> take()
 *
 * `update` only notes what a change touches; `take` and every read bring the rest up to date.
 */
export class PolicyEngine implements PolicyView {
  readonly #host: string
  readonly #cluster = new Cluster()
  readonly #picks = new PolicyPicks()
  readonly #tiers = new Map<string, Tier | Broken<object>>()
  readonly #profileRules = new Map<string, RuleSet | Broken<object>>()
  readonly #local = new LocalEndpoints(this.#cluster, this.#picks, {
    tiers: this.#tiers,
    rulesOf: profile => this.#profileRules.get(profile),
  })
  readonly #rules = new ActiveRules(this.#cluster.sets, (owner, direction) => this.#source(owner, direction))
  #settled = true
  readonly #departed = new DepartedAddresses()
  /** The endpoints that the last delta changed, as they were before it. */
  #former: readonly LocalEndpoint[] = []

  /** `host`: the name under which this node's endpoints are in the model. */
  constructor(host: string) {
    this.#host = host
  }

  /** Takes one change of the model in. Host endpoints and configuration mean nothing here. */
  update(change: ModelChange): void {
    this.#settled = false
    switch (change.kind) {
      case 'workload-endpoint':
        this.#setEndpoint(change.id, change.value)
        break
      case 'profile-rules':
        setOrDelete(this.#profileRules, change.id, change.value)
        this.#rules.ownerChanged('profile', change.id)
        this.#local.soil(this.#local.naming(change.id))
        break
      case 'profile-tags':
        this.#cluster.setTags(change.id, change.value)
        break
      case 'profile-labels':
        for (const { id } of this.#cluster.setLabels(change.id, change.value)) this.#local.select(id)
        break
      case 'tier':
        setOrDelete(this.#tiers, change.id, change.value)
        for (const policy of this.#picks.ofTier(change.id)) {
          this.#rules.ownerChanged('policy', policy)
          this.#local.soil(this.#picks.pickedBy(policy))
        }
        break
      case 'policy':
        this.#local.soil(this.#picks.setPolicy(change.id, change.value))
        this.#rules.ownerChanged('policy', change.id)
        break
    }
  }

  /** The smallest delta since the last take; empty maps when nothing that matters changed. */
  take(): PolicyDelta {
    this.#settle()
    const endpoints = this.#local.settled.take()
    this.#former = [...endpoints.values()].flatMap(({ before }) => before ?? [])
    return {
      endpoints: present(endpoints),
      lists: present(this.#rules.lists.take()),
      sets: this.#cluster.sets.take(),
    }
  }

  /** The whole state as if nothing of it had been taken yet; takes nothing. */
  whole(): PolicyDelta {
    this.#settle()
    const sets = new Map<SetId, SetDelta>()
    for (const set of this.#cluster.sets.all()) sets.set(set.id, set.members.whole())
    return {
      endpoints: new Map(this.#local.settled.entries()),
      lists: new Map(this.#rules.lists.entries()),
      sets,
    }
  }

  endpoint(id: string): LocalEndpoint | undefined {
    this.#settle()
    return this.#local.settled.get(id)
  }

  /** This node's endpoints, by id. */
  endpoints(): readonly LocalEndpoint[] {
    this.#settle()
    return this.#local.all()
  }

  list(id: RuleListId): RuleList | undefined {
    this.#settle()
    return this.#rules.lists.get(id)
  }

  setMembers(id: SetId): Members | undefined {
    this.#settle()
    return this.#cluster.sets.get(id)?.members
  }

  /** The endpoints of this node that own a canonical address, by id. More than one is a conflict. */
  localByAddress(address: string): readonly LocalEndpoint[] {
    this.#settle()
    return this.#local.byAddress(address)
  }

  /** The addresses of any workload endpoint of the cluster; none for an unknown one. */
  addressesOf(id: string): readonly string[] {
    return this.#cluster.endpoint(id)?.addresses ?? []
  }

  /** Whose verdicts the delta just taken may have changed. */
  interestsOf(delta: PolicyDelta): Interests {
    return interests(delta, this.#rules, this.#former, id => this.#local.settled.get(id), this.#departed)
  }

  counts(): PolicyCounts {
    this.#settle()
    return {
      ...this.#cluster.counts(),
      localEndpoints: this.#local.settled.size,
      tiers: this.#tiers.size,
      policies: this.#picks.size,
      profiles: this.#profileRules.size,
      activeLists: this.#rules.lists.size,
    }
  }

  /** What an operator should know about: what is ignored, closed or incomplete, and why. */
  warnings(): readonly PolicyWarning[] {
    this.#settle()
    return warningsOf({
      picks: this.#picks,
      tiers: this.#tiers,
      endpoints: this.#local.all(),
      lists: this.#rules.lists.values(),
      sets: this.#cluster.sets,
    })
  }

  #setEndpoint(id: string, value: Part<'workload-endpoint'>): void {
    this.#local.delete(id)
    const former = this.#cluster.endpoint(id)?.addresses ?? []
    this.#cluster.setEndpoint(id, value)
    if (value !== null && !isBroken(value) && value.host === this.#host) this.#local.set(id, value)
    // What this node's own endpoints give up is in the delta itself.
    if (former.length === 0 || id.startsWith(`${this.#host}/`)) return
    const addresses = this.#cluster.endpoint(id)?.addresses ?? []
    for (const address of former) if (!addresses.includes(address)) this.#departed.add(address)
  }

  #source(owner: RuleOwner, direction: Direction): RuleSource {
    const { kind, name } = owner
    if (kind === 'policy') {
      const policy = this.#picks.get(name)!
      const tier = this.#tiers.get(policy.tier)!
      if (isBroken(policy.value))
        return closed(`policy ${name} cannot be read: ${policy.value.broken.reason}`)
      if (isBroken(tier)) return closed(`tier ${policy.tier} cannot be read: ${tier.broken.reason}`)
      return { rules: policy.value[direction], closed: null }
    }
    const rules = this.#profileRules.get(name)
    if (rules === undefined) return closed(`profile ${name} has no rules`)
    if (isBroken(rules)) return closed(`the rules of profile ${name} cannot be read: ${rules.broken.reason}`)
    return { rules: rules[direction], closed: null }
  }

  #settle(): void {
    if (this.#settled) return
    this.#settled = true
    this.#local.settle(this.#rules)
    this.#rules.settle()
  }
}

function setOrDelete<Value>(map: Map<string, Value>, key: string, value: Value | null): void {
  if (value === null) map.delete(key)
  else map.set(key, value)
}

function closed(reason: string): RuleSource {
  return { rules: [], closed: reason }
}

function present<Value>(
  delta: ReadonlyMap<string, { readonly now: Value | null }>,
): ReadonlyMap<string, Value | null> {
  return new Map(Array.from(delta, ([key, { now }]) => [key, now]))
}
