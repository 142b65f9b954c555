import { isDeepStrictEqual } from 'node:util'
import type { LocalEndpoint, PolicyDelta, RuleList } from '../../../src/policy/outcome.ts'
import type { PolicyView } from '../../../src/policy/view.ts'

/** What someone knows who has seen every delta and nothing else. Complains of a delta that says too much. */
export class Mirror implements PolicyView {
  readonly endpoints = new Map<string, LocalEndpoint>()
  readonly lists = new Map<string, RuleList>()
  readonly sets = new Map<string, Set<string>>()

  endpoint(id: string): LocalEndpoint | undefined {
    return this.endpoints.get(id)
  }

  list(id: string): RuleList | undefined {
    return this.lists.get(id)
  }

  setMembers(id: string): ReadonlySet<string> | undefined {
    return this.sets.get(id)
  }

  localByAddress(address: string): readonly LocalEndpoint[] {
    return [...this.endpoints.values()]
      .filter(({ addresses4, addresses6 }) => [...addresses4, ...addresses6].includes(address))
      .sort((left, right) => (left.id < right.id ? -1 : 1))
  }

  apply(delta: PolicyDelta): this {
    replay(this.endpoints, delta.endpoints)
    replay(this.lists, delta.lists)
    for (const [id, { created, removed, added, deleted }] of delta.sets) {
      const known = this.sets.get(id)
      expect(created === (known === undefined), `set ${id} created and known, or neither`)
      expect(created || removed || added.length + deleted.length > 0, `set ${id} says nothing`)
      if (removed) {
        expect(added.length + deleted.length === 0, `set ${id} goes and has changes`)
        this.sets.delete(id)
        continue
      }
      const members = known ?? new Set<string>()
      for (const { address } of deleted) expect(members.delete(address), `${address} was not in ${id}`)
      for (const { family, address } of added) {
        expect(!members.has(address), `${address} was in ${id}`)
        expect((family === 6) === address.includes(':'), `family of ${address}`)
        members.add(address)
      }
      this.sets.set(id, members)
    }
    return this
  }

  /** All it knows, in one order. */
  state(): object {
    return {
      endpoints: sorted(this.endpoints),
      lists: sorted(this.lists),
      sets: sorted(new Map(Array.from(this.sets, ([id, members]) => [id, [...members].sort()]))),
    }
  }
}

function replay<Value>(known: Map<string, Value>, delta: ReadonlyMap<string, Value | null>): void {
  for (const [id, value] of delta) {
    expect(!isDeepStrictEqual(known.get(id) ?? null, value), `${id} did not change`)
    if (value === null) known.delete(id)
    else known.set(id, value)
  }
}

export function sorted<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : 1))
}

function expect(truth: boolean, message: string): void {
  if (!truth) throw new Error(message)
}
