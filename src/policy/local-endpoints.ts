import type { WorkloadEndpoint } from '../model/values.ts'
import type { ActiveRules } from './active-rules.ts'
import type { Cluster } from './cluster.ts'
import { DeltaTracker } from './delta-tracker.ts'
import { localEndpoint, type StackParts } from './local-endpoint.ts'
import { MultiMap } from './multi-map.ts'
import type { LocalEndpoint } from './outcome.ts'
import type { PolicyPicks } from './policy-picks.ts'

/** The endpoints of this node. Changes only mark what they touch; `settle` makes the stacks anew. */
export class LocalEndpoints {
  readonly settled = new DeltaTracker<string, LocalEndpoint>()
  /** As the model has them. */
  readonly #values = new Map<string, WorkloadEndpoint>()
  readonly #naming = new MultiMap<string, string>()
  readonly #dirty = new Set<string>()
  readonly #byAddress = new MultiMap<string, string>()
  readonly #cluster: Cluster
  readonly #picks: PolicyPicks
  readonly #parts: Omit<StackParts, 'policies'>

  constructor(cluster: Cluster, picks: PolicyPicks, parts: Omit<StackParts, 'policies'>) {
    this.#cluster = cluster
    this.#picks = picks
    this.#parts = parts
  }

  set(id: string, value: WorkloadEndpoint): void {
    this.#values.set(id, value)
    for (const profile of value.profiles) this.#naming.add(profile, id)
    this.select(id)
  }

  delete(id: string): void {
    const value = this.#values.get(id)
    if (value === undefined) return
    this.#picks.setEndpoint(id, null)
    for (const profile of value.profiles) this.#naming.delete(profile, id)
    this.#values.delete(id)
    this.#dirty.add(id)
  }

  /** Holds the policies against the endpoint's labels. One of which labels are unknown is closed, and needs none. */
  select(id: string): void {
    if (!this.#values.has(id)) return
    const { labels, doubt } = this.#cluster.endpoint(id)!
    this.#picks.setEndpoint(id, doubt === null ? labels : null)
    this.#dirty.add(id)
  }

  soil(ids: Iterable<string>): void {
    for (const id of ids) this.#dirty.add(id)
  }

  /** The endpoints that name a profile. */
  naming(profile: string): readonly string[] {
    return this.#naming.of(profile)
  }

  settle(rules: ActiveRules): void {
    for (const id of this.#dirty) {
      for (const address of addressesOf(this.settled.get(id))) this.#byAddress.delete(address, id)
      const value = this.#values.get(id)
      if (value === undefined) {
        rules.assign(id, [])
        this.settled.set(id, null)
        continue
      }
      const policies = this.#picks.policiesFor(id)
      const { doubt } = this.#cluster.endpoint(id)!
      const { endpoint, uses } = localEndpoint(id, value, doubt, { ...this.#parts, policies })
      for (const address of addressesOf(endpoint)) this.#byAddress.add(address, id)
      rules.assign(id, uses)
      this.settled.set(id, endpoint)
    }
    this.#dirty.clear()
  }

  /** By id. */
  all(): readonly LocalEndpoint[] {
    return [...this.settled.values()].sort((left, right) => (left.id < right.id ? -1 : 1))
  }

  byAddress(address: string): readonly LocalEndpoint[] {
    const ids = this.#byAddress.of(address)
    return (ids.length > 1 ? [...ids].sort() : ids).map(id => this.settled.get(id)!)
  }
}

function addressesOf(endpoint: LocalEndpoint | undefined): readonly string[] {
  return endpoint === undefined ? [] : [...endpoint.addresses4, ...endpoint.addresses6]
}
