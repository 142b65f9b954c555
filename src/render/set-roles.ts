import type { Action } from '../model/values.ts'
import type { EffectiveMatch, EffectiveRule, RuleList, RuleListId, SetId } from '../policy/outcome.ts'
import type { SetRole } from './kernel-delta.ts'

/**
 * What a set does in a rule's match. In an allow a member more lets more through, in a negated match less; in
 * a deny it is the other way round. A next-tier is meant here as what surely passes on (see rule-list.ts).
 */
export function roleOf(action: Action, negated: boolean): SetRole {
  return (action === 'deny') === negated ? 'opens' : 'closes'
}

export function otherRole(role: SetRole): SetRole {
  return role === 'opens' ? 'closes' : 'opens'
}

export function usesSets({ is, not }: EffectiveRule): boolean {
  return setsOf(is).length + setsOf(not).length > 0
}

function setsOf({ srcSets = [], dstSets = [] }: EffectiveMatch): readonly SetId[] {
  return [...srcSets, ...dstSets]
}

/**
 * In which roles the rule lists use each set. Every role has a set of its own in the kernel, so that all
 * members can be written in an order that opens nothing in between: see KernelWriter.
 */
export class SetRoles {
  readonly #users = new Map<SetId, Readonly<Record<SetRole, Set<RuleListId>>>>()
  readonly #used = new Map<RuleListId, ReadonlySet<SetId>>()

  /** States what a list is from now on. Returns the sets that it used or uses. */
  place(id: RuleListId, list: RuleList | null): ReadonlySet<SetId> {
    const touched = new Set(this.#used.get(id))
    for (const set of touched) {
      const users = this.#users.get(set)!
      users.opens.delete(id)
      users.closes.delete(id)
      if (users.opens.size + users.closes.size === 0) this.#users.delete(set)
    }
    const uses = new Set<SetId>()
    for (const rule of list === null || list.closed !== null ? [] : list.rules) {
      for (const set of setsOf(rule.is)) this.#use(set, id, rule.action, false)
      for (const set of setsOf(rule.not)) this.#use(set, id, rule.action, true)
      for (const set of [...setsOf(rule.is), ...setsOf(rule.not)]) uses.add(set)
    }
    if (uses.size === 0) this.#used.delete(id)
    else this.#used.set(id, uses)
    for (const set of uses) touched.add(set)
    return touched
  }

  /** One that nothing uses yet opens. */
  of(set: SetId): readonly SetRole[] {
    const users = this.#users.get(set)
    if (users === undefined || users.closes.size === 0) return ['opens']
    return users.opens.size === 0 ? ['closes'] : ['opens', 'closes']
  }

  #use(set: SetId, id: RuleListId, action: Action, negated: boolean): void {
    let users = this.#users.get(set)
    if (users === undefined) {
      users = { opens: new Set(), closes: new Set() }
      this.#users.set(set, users)
    }
    const role = roleOf(action, negated)
    users[role].add(id)
    if (action === 'next-tier') users[otherRole(role)].add(id)
  }
}
