import { parseSelector, type Selector } from '../model/selector.ts'
import type { Broken, Policy, PolicyRemains } from '../model/values.ts'
import { isBroken } from './broken.ts'
import { LabelIndex } from './label-index.ts'
import type { SharedLabels } from './label-pool.ts'
import { MultiMap } from './multi-map.ts'
import { SelectorIndex } from './selector-index.ts'

export interface PolicyRecord {
  /** `TIER/NAME`. */
  readonly id: string
  readonly tier: string
  readonly name: string
  readonly selector: Selector
  readonly order: number
  readonly value: Policy | Broken<PolicyRemains>
}

interface Local {
  readonly id: string
  readonly labels: SharedLabels
  readonly policies: Set<string>
}

/** An unreadable selector might have picked any endpoint, so it picks all. */
const EVERY_ENDPOINT = parseSelector('all()')

function policyRecord(id: string, value: Policy | Broken<PolicyRemains>): PolicyRecord {
  const slash = id.indexOf('/')
  const names = { id, tier: id.slice(0, slash), name: id.slice(slash + 1), value }
  if (!isBroken(value)) return { ...names, selector: value.selector, order: value.order }
  const { selector, order } = value.remains
  // It might have stood before any other, so it does.
  return { ...names, selector: selector ?? EVERY_ENDPOINT, order: order ?? Number.NEGATIVE_INFINITY }
}

/** Which policies pick which endpoints of this node. Policies are never held against any other endpoint. */
export class PolicyPicks {
  readonly #policies = new Map<string, PolicyRecord>()
  readonly #byTier = new MultiMap<string, string>()
  readonly #selectors = new SelectorIndex<string>()
  readonly #locals = new Map<string, Local>()
  readonly #byLabels = new LabelIndex<Local>()
  readonly #picks = new MultiMap<string, string>()

  get size(): number {
    return this.#policies.size
  }

  get(id: string): PolicyRecord | undefined {
    return this.#policies.get(id)
  }

  /** The tiers that any policy names. */
  tierNames(): IterableIterator<string> {
    return this.#byTier.keys()
  }

  ofTier(tier: string): readonly string[] {
    return this.#byTier.of(tier)
  }

  /** The local endpoints that a policy picks. */
  pickedBy(policy: string): readonly string[] {
    return this.#picks.of(policy)
  }

  /** The policies that pick a local endpoint. */
  policiesFor(endpoint: string): readonly PolicyRecord[] {
    return Array.from(this.#locals.get(endpoint)?.policies ?? [], id => this.#policies.get(id)!)
  }

  /** Returns the local endpoints whose policies or their order may have changed. */
  setPolicy(id: string, value: Policy | Broken<PolicyRemains> | null): Iterable<string> {
    const old = this.#policies.get(id)
    const record = value === null ? null : policyRecord(id, value)
    if (old !== undefined && record?.selector.text === old.selector.text) {
      this.#policies.set(id, record)
      return record.order === old.order ? [] : this.#picks.of(id)
    }
    const affected = new Set(this.#picks.of(id))
    if (old !== undefined) this.#forget(old)
    if (record === null) return affected
    this.#policies.set(id, record)
    this.#byTier.add(record.tier, id)
    this.#selectors.add(record.selector, id)
    for (const local of this.#byLabels.picked(record.selector)) {
      this.#pick(local, id)
      affected.add(local.id)
    }
    return affected
  }

  /** `labels` null: no policy is to pick the endpoint, or it is gone. */
  setEndpoint(id: string, labels: SharedLabels | null): void {
    const old = this.#locals.get(id)
    if (old !== undefined) {
      for (const policy of old.policies) this.#picks.delete(policy, id)
      this.#byLabels.remove(old.labels, old)
      this.#locals.delete(id)
    }
    if (labels === null) return
    const local: Local = { id, labels, policies: new Set() }
    this.#locals.set(id, local)
    this.#byLabels.add(labels, local)
    for (const policy of this.#selectors.picking(labels.labels)) this.#pick(local, policy)
  }

  #pick(local: Local, policy: string): void {
    local.policies.add(policy)
    this.#picks.add(policy, local.id)
  }

  #forget(record: PolicyRecord): void {
    const { id } = record
    for (const endpoint of this.#picks.of(id)) {
      this.#locals.get(endpoint)?.policies.delete(id)
      this.#picks.delete(id, endpoint)
    }
    this.#selectors.remove(record.selector, id)
    this.#byTier.delete(record.tier, id)
    this.#policies.delete(id)
  }
}
