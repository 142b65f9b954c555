import type { Direction, Rule } from '../model/values.ts'
import type { ActiveSets } from './active-sets.ts'
import { DeltaTracker } from './delta-tracker.ts'
import { effectiveRules, setsOf, underDoubt } from './effective-rule.ts'
import { MultiMap } from './multi-map.ts'
import type { EffectiveRule, RuleList, RuleListId, SetId } from './outcome.ts'
import { type RuleOwner, ruleListId } from './rule-list-id.ts'

/** What a policy or profile says in one direction; `closed`: it denies everything, and why. */
export interface RuleSource {
  readonly rules: readonly Rule[]
  readonly closed: string | null
}

/** Finds an owner's rules. */
export type RuleLookup = (owner: RuleOwner, direction: Direction) => RuleSource

interface ActiveList {
  readonly owner: RuleOwner
  readonly direction: Direction
  readonly users: Set<string>
  sets: readonly SetId[]
  /** The rules as if every set were complete. */
  exact: readonly EffectiveRule[]
  closed: string | null
}

/** A list that a local endpoint uses. */
export interface ListUse {
  readonly id: RuleListId
  readonly owner: RuleOwner
  readonly direction: Direction
}

export function listUse(kind: RuleOwner['kind'], name: string, direction: Direction): ListUse {
  return { id: ruleListId(kind, name, direction), owner: { kind, name }, direction }
}

/** The rule lists that local endpoints use, and through them the sets that are in use. */
export class ActiveRules {
  readonly lists = new DeltaTracker<RuleListId, RuleList>()
  readonly #active = new Map<RuleListId, ActiveList>()
  readonly #bySet = new MultiMap<SetId, RuleListId>()
  readonly #usedBy = new Map<string, readonly ListUse[]>()
  /** Lists whose owner or use changed. */
  readonly #stale = new Set<RuleListId>()
  readonly #sets: ActiveSets
  readonly #lookup: RuleLookup

  constructor(sets: ActiveSets, lookup: RuleLookup) {
    this.#sets = sets
    this.#lookup = lookup
  }

  /** States which lists the endpoint uses from now on. */
  assign(endpoint: string, uses: readonly ListUse[]): void {
    const before = this.#usedBy.get(endpoint) ?? []
    for (const use of uses) this.#use(use).users.add(endpoint)
    const kept = new Set(uses.map(use => use.id))
    for (const { id } of before) {
      if (kept.has(id)) continue
      const list = this.#active.get(id)!
      list.users.delete(endpoint)
      if (list.users.size === 0) this.#stale.add(id)
    }
    if (uses.length === 0) this.#usedBy.delete(endpoint)
    else this.#usedBy.set(endpoint, uses)
  }

  /** The rules of a policy or profile changed. */
  ownerChanged(kind: RuleOwner['kind'], name: string): void {
    for (const direction of ['inbound', 'outbound'] as const) {
      const id = ruleListId(kind, name, direction)
      if (this.#active.has(id)) this.#stale.add(id)
    }
  }

  /** Brings lists and sets up to date with all that was said before. */
  settle(): void {
    const changed = new Set(this.#stale)
    for (const id of this.#stale) this.#rebuild(id)
    this.#stale.clear()
    // Only now is it known which sets there are; what they lack decides how a rule is put.
    for (const set of this.#sets.takeCompleteness()) for (const id of this.#bySet.of(set)) changed.add(id)
    for (const id of changed) this.lists.set(id, this.#present(id))
  }

  /** The endpoints that use a list. */
  usersOf(id: RuleListId): Iterable<string> {
    return this.#active.get(id)?.users ?? []
  }

  /** The lists whose rules use a set. */
  listsWith(id: SetId): readonly RuleListId[] {
    return this.#bySet.of(id)
  }

  #use(use: ListUse): ActiveList {
    let list = this.#active.get(use.id)
    if (list === undefined) {
      const { owner, direction } = use
      list = { owner, direction, users: new Set(), sets: [], exact: [], closed: null }
      this.#active.set(use.id, list)
      this.#stale.add(use.id)
    }
    return list
  }

  #rebuild(id: RuleListId): void {
    const list = this.#active.get(id)!
    const source = list.users.size === 0 ? null : this.#lookup(list.owner, list.direction)
    const rules = source === null || source.closed !== null ? [] : source.rules
    list.exact = rules.flatMap(effectiveRules)
    list.closed = source?.closed ?? null
    const sets = setsOf(list.exact, rules)
    // Wanting comes before unwanting, or a set that stays would be given up in between.
    for (const [set, selector] of sets) {
      this.#sets.want(set, selector)
      this.#bySet.add(set, id)
    }
    for (const set of list.sets) {
      this.#sets.unwant(set)
      if (!sets.has(set)) this.#bySet.delete(set, id)
    }
    list.sets = [...sets.keys()]
    if (source === null) this.#active.delete(id)
  }

  #present(id: RuleListId): RuleList | null {
    const list = this.#active.get(id)
    if (list === undefined) return null
    const rules = list.exact.flatMap(rule => underDoubt(rule, set => this.#sets.isIncomplete(set)))
    return { id, owner: list.owner, direction: list.direction, rules, closed: list.closed }
  }
}
