import type { Selector } from '../model/selector.ts'
import { AddressSet } from './address-set.ts'
import type { ClusterEndpoint } from './cluster-endpoint.ts'
import type { SetId } from './outcome.ts'

export function tagSetId(tag: string): SetId {
  return `tag:${tag}`
}

export function selectorSetId(selector: Selector): SetId {
  return `selector:${selector.text}`
}

/** Collects, for whoever acts on it, which sets changed. */
export interface SetChanges {
  readonly members: Set<TrackedSet>
  /** Sets that may have become complete or incomplete. */
  readonly completeness: Set<SetId>
}

/** A set in use: its addresses, and what it may lack. */
export class TrackedSet {
  readonly id: SetId
  /** null: the set of a tag. */
  readonly selector: Selector | null
  readonly members = new AddressSet()
  /** Endpoints that belong or might belong here and are not in, each with the reason. */
  readonly lacking = new Map<string, string>()
  readonly #changes: SetChanges

  constructor(id: SetId, selector: Selector | null, changes: SetChanges) {
    this.id = id
    this.selector = selector
    this.#changes = changes
    changes.members.add(this)
  }

  get tag(): string {
    return this.id.slice('tag:'.length)
  }

  /** Takes the endpoint in; with a `doubt`, or when its addresses are unknown, notes that it is missing. */
  join(endpoint: ClusterEndpoint, doubt: string | null): void {
    const reason = endpoint.lost ?? doubt
    if (reason === null) {
      for (const address of endpoint.addresses) this.members.add(address)
      this.#changes.members.add(this)
    } else {
      this.lacking.set(endpoint.id, reason)
      this.#changes.completeness.add(this.id)
    }
  }

  /** Undoes a join with the same arguments. */
  leave(endpoint: ClusterEndpoint, doubt: string | null): void {
    if ((endpoint.lost ?? doubt) === null) {
      for (const address of endpoint.addresses) this.members.remove(address)
      this.#changes.members.add(this)
    } else {
      this.lacking.delete(endpoint.id)
      this.#changes.completeness.add(this.id)
    }
  }
}
