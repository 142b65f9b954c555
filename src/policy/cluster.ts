import { isDeepStrictEqual } from 'node:util'
import type { Broken, EndpointRemains, Part, WorkloadEndpoint } from '../model/values.ts'
import { ActiveSets } from './active-sets.ts'
import { isBroken } from './broken.ts'
import { type ClusterEndpoint, clusterEndpoint, isSame } from './cluster-endpoint.ts'
import { inheritLabels, LabelPool } from './label-pool.ts'
import { MultiMap } from './multi-map.ts'

type Labels = NonNullable<Part<'profile-labels'>>

export interface ClusterCounts {
  readonly clusterEndpoints: number
  /** Distinct sets of labels, own or effective. */
  readonly labelSets: number
  readonly activeSets: number
  readonly setMembers: number
  readonly incompleteSets: number
}

/** All workload endpoints with their effective labels, and the sets they belong to. */
export class Cluster {
  readonly sets: ActiveSets
  readonly #endpoints = new Map<string, ClusterEndpoint>()
  readonly #naming = new MultiMap<string, ClusterEndpoint>()
  readonly #profileLabels = new Map<string, Labels>()
  readonly #pool = new LabelPool()

  constructor() {
    this.sets = new ActiveSets(this.#naming)
  }

  counts(): ClusterCounts {
    const sets = [...this.sets.all()]
    return {
      clusterEndpoints: this.#endpoints.size,
      labelSets: this.#pool.size,
      activeSets: sets.length,
      setMembers: sets.reduce((sum, { members }) => sum + members.size, 0),
      incompleteSets: sets.filter(({ id }) => this.sets.isIncomplete(id)).length,
    }
  }

  endpoint(id: string): ClusterEndpoint | undefined {
    return this.#endpoints.get(id)
  }

  setEndpoint(id: string, value: WorkloadEndpoint | Broken<EndpointRemains> | null): void {
    const old = this.#endpoints.get(id)
    // A source in doubt tells everything again; most of it is as it was.
    if (old !== undefined && value !== null && isSame(old, value)) return
    if (old !== undefined) this.#drop(old)
    if (value === null) return
    const endpoint = clusterEndpoint(id, value, this.#pool)
    this.#endpoints.set(id, endpoint)
    for (const profile of endpoint.profiles ?? []) this.#naming.add(profile, endpoint)
    this.#label(endpoint)
    this.sets.tags.join(endpoint)
    this.sets.selected.join(endpoint)
  }

  setTags(profile: string, tags: Part<'profile-tags'>): void {
    this.sets.tags.setTags(profile, tags)
  }

  /** Returns the endpoints whose effective labels may have changed. */
  setLabels(profile: string, labels: Part<'profile-labels'>): readonly ClusterEndpoint[] {
    if (isDeepStrictEqual(this.#profileLabels.get(profile) ?? null, labels)) return []
    const endpoints = this.#naming.of(profile)
    for (const endpoint of endpoints) this.sets.selected.leave(endpoint)
    if (labels === null) this.#profileLabels.delete(profile)
    else this.#profileLabels.set(profile, labels)
    for (const endpoint of endpoints) {
      this.#label(endpoint)
      this.sets.selected.join(endpoint)
    }
    return endpoints
  }

  #drop(endpoint: ClusterEndpoint): void {
    this.sets.tags.leave(endpoint)
    this.sets.selected.leave(endpoint)
    for (const profile of endpoint.profiles ?? []) this.#naming.delete(profile, endpoint)
    this.#endpoints.delete(endpoint.id)
    if (endpoint.own !== null) this.#pool.release(endpoint.own)
    this.#pool.release(endpoint.labels)
  }

  /**
   * Only the labels that nothing unknown can override are certain: none when its own are unknown, else its own
   * and those of the profiles before the first that is unknown.
   */
  #label(endpoint: ClusterEndpoint): void {
    const { own, profiles } = endpoint
    const inherited: ReadonlyMap<string, string>[] = []
    endpoint.doubt = own === null || profiles === null ? endpoint.lost : null
    for (const profile of profiles ?? []) {
      const labels = this.#profileLabels.get(profile)
      if (labels === undefined) continue
      if (isBroken(labels)) {
        endpoint.doubt ??= `the labels of profile ${profile} cannot be read: ${labels.broken.reason}`
        break
      }
      inherited.push(labels)
    }
    const certain = own === null ? new Map<string, string>() : inheritLabels(own.labels, inherited)
    const labels = certain === own?.labels ? this.#pool.share(own) : this.#pool.hold(certain)
    this.#pool.release(endpoint.labels)
    endpoint.labels = labels
  }
}
