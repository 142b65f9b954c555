import { isDeepStrictEqual } from 'node:util'
import type { Part } from '../model/values.ts'
import { isBroken } from './broken.ts'
import type { ClusterEndpoint } from './cluster-endpoint.ts'
import { MultiMap } from './multi-map.ts'
import { type SetChanges, type TrackedSet, tagSetId } from './tracked-set.ts'

/** Who names a profile. */
export type Naming = MultiMap<string, ClusterEndpoint>

type Tags = NonNullable<Part<'profile-tags'>>

/** Which endpoints carry which tag, through their profiles; keeps the sets of the tags in use. */
export class TagIndex {
  readonly #tags = new Map<string, Tags>()
  readonly #profilesWith = new MultiMap<string, string>()
  readonly #active = new Map<string, TrackedSet>()
  /** Endpoints whose tags are not all known: any tag's set may lack them. */
  readonly #untagged = new Map<string, string>()
  readonly #naming: Naming
  readonly #changes: SetChanges

  constructor(naming: Naming, changes: SetChanges) {
    this.#naming = naming
    this.#changes = changes
  }

  activate(set: TrackedSet): void {
    this.#active.set(set.tag, set)
    // An endpoint that carries the tag through several profiles counts once: through the first.
    for (const profile of this.#profilesWith.of(set.tag))
      for (const endpoint of this.#naming.of(profile))
        if (endpoint.profiles?.find(name => this.#known(name).includes(set.tag)) === profile)
          set.join(endpoint, null)
  }

  deactivate(set: TrackedSet): void {
    this.#active.delete(set.tag)
  }

  /** Why any tag's set may lack members. */
  get doubts(): ReadonlyMap<string, string> {
    return this.#untagged
  }

  join(endpoint: ClusterEndpoint): void {
    const doubt = this.#doubtOf(endpoint)
    if (doubt !== null) this.#doubt(() => this.#untagged.set(endpoint.id, doubt))
    for (const set of this.#setsOf(endpoint)) set.join(endpoint, null)
  }

  leave(endpoint: ClusterEndpoint): void {
    if (this.#untagged.has(endpoint.id)) this.#doubt(() => this.#untagged.delete(endpoint.id))
    for (const set of this.#setsOf(endpoint)) set.leave(endpoint, null)
  }

  /** All who name the profile leave before and join again after. */
  setTags(profile: string, tags: Tags | null): void {
    if (isDeepStrictEqual(this.#tags.get(profile) ?? null, tags)) return
    const endpoints = this.#naming.of(profile)
    for (const endpoint of endpoints) this.leave(endpoint)
    for (const tag of this.#known(profile)) this.#profilesWith.delete(tag, profile)
    if (tags === null) this.#tags.delete(profile)
    else this.#tags.set(profile, tags)
    for (const tag of this.#known(profile)) this.#profilesWith.add(tag, profile)
    for (const endpoint of endpoints) this.join(endpoint)
  }

  #known(profile: string): readonly string[] {
    const tags = this.#tags.get(profile)
    return tags === undefined || isBroken(tags) ? [] : tags
  }

  #doubtOf(endpoint: ClusterEndpoint): string | null {
    if (endpoint.profiles === null) return endpoint.lost
    for (const profile of endpoint.profiles) {
      const tags = this.#tags.get(profile)
      if (tags !== undefined && isBroken(tags))
        return `the tags of profile ${profile} cannot be read: ${tags.broken.reason}`
    }
    return null
  }

  #setsOf(endpoint: ClusterEndpoint): Set<TrackedSet> {
    const sets = new Set<TrackedSet>()
    if (this.#active.size === 0) return sets
    for (const profile of endpoint.profiles ?? [])
      for (const tag of this.#known(profile)) {
        const set = this.#active.get(tag)
        if (set !== undefined) sets.add(set)
      }
    return sets
  }

  #doubt(change: () => void): void {
    const before = this.#untagged.size > 0
    change()
    if (before === this.#untagged.size > 0) return
    for (const tag of this.#active.keys()) this.#changes.completeness.add(tagSetId(tag))
  }
}
