import type { Selector } from '../model/selector.ts'
import type { SetDelta, SetId } from './outcome.ts'
import { SelectedIndex } from './selected-index.ts'
import { type Naming, TagIndex } from './tag-index.ts'
import { type SetChanges, TrackedSet } from './tracked-set.ts'

interface Wanted {
  readonly set: TrackedSet
  wants: number
}

/** The sets that active rules use. Nothing is kept for any other tag or selector. */
export class ActiveSets {
  readonly tags: TagIndex
  readonly selected = new SelectedIndex()
  readonly #sets = new Map<SetId, Wanted>()
  /** Sets to give up at the next take, unless they are wanted again before. */
  readonly #unwanted = new Set<SetId>()
  readonly #changes: SetChanges = { members: new Set(), completeness: new Set() }

  constructor(naming: Naming) {
    this.tags = new TagIndex(naming, this.#changes)
  }

  /** One more rule list uses the set. `selector` null: the set of a tag. */
  want(id: SetId, selector: Selector | null): void {
    const wanted = this.#sets.get(id)
    if (wanted !== undefined) {
      wanted.wants++
      this.#unwanted.delete(id)
      return
    }
    const set = new TrackedSet(id, selector, this.#changes)
    this.#sets.set(id, { set, wants: 1 })
    if (selector === null) this.tags.activate(set)
    else this.selected.activate(set)
  }

  unwant(id: SetId): void {
    const wanted = this.#sets.get(id)!
    wanted.wants--
    if (wanted.wants === 0) this.#unwanted.add(id)
  }

  get(id: SetId): TrackedSet | undefined {
    return this.#unwanted.has(id) ? undefined : this.#sets.get(id)?.set
  }

  *all(): Generator<TrackedSet, void> {
    for (const [id, { set }] of this.#sets) if (!this.#unwanted.has(id)) yield set
  }

  /** Why the set may lack members, by the endpoint it lacks; empty when it is complete. */
  doubts(set: TrackedSet): ReadonlyMap<string, string> {
    return set.selector === null && set.lacking.size === 0 ? this.tags.doubts : set.lacking
  }

  isIncomplete(id: SetId): boolean {
    const set = this.#sets.get(id)?.set
    return set !== undefined && this.doubts(set).size > 0
  }

  /** The sets whose completeness may have changed since the last call. */
  takeCompleteness(): readonly SetId[] {
    const ids = [...this.#changes.completeness]
    this.#changes.completeness.clear()
    return ids
  }

  take(): Map<SetId, SetDelta> {
    const delta = new Map<SetId, SetDelta>()
    for (const id of this.#unwanted) {
      const { set } = this.#sets.get(id)!
      if (set.members.taken) delta.set(id, { created: false, removed: true, added: [], deleted: [] })
      this.#sets.delete(id)
      this.#changes.members.delete(set)
      if (set.selector === null) this.tags.deactivate(set)
      else this.selected.deactivate(set)
    }
    this.#unwanted.clear()
    for (const set of this.#changes.members) {
      const change = set.members.take()
      if (change !== null) delta.set(set.id, change)
    }
    this.#changes.members.clear()
    return delta
  }
}
