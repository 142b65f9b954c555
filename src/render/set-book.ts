import { FAMILIES, type Family } from '../model/values.ts'
import type { PolicyDelta, SetDelta, SetId, SetMember } from '../policy/outcome.ts'
import type { SetChange, SetRole } from './kernel-delta.ts'
import { type Hash, type NameBook, setName } from './name.ts'
import { SetRoles } from './set-roles.ts'
import { setChange, setParts } from './sets.ts'

/** All members of a set. */
export type MembersOf = (id: SetId) => Iterable<SetMember>

const GONE: SetDelta = { created: false, removed: true, added: [], deleted: [] }

/** Which sets there are, and in which roles the kernel has each. Members are not kept. */
export class SetBook {
  readonly #sets = new Map<SetId, readonly SetRole[]>()
  readonly #roles = new SetRoles()
  readonly #names: NameBook
  readonly #hash: Hash

  constructor(names: NameBook, hash: Hash) {
    this.#names = names
    this.#hash = hash
  }

  /** The kernel's name of a set in a role; null when it has none. */
  nameOf(id: SetId, family: Family, role: SetRole): string | null {
    return this.#names.nameOf(identity(id, family, role))
  }

  /** Takes note of what the lists use. `membersOf` is asked for a set that is not new, in a role that is. */
  change({ sets, lists }: Pick<PolicyDelta, 'sets' | 'lists'>, membersOf: MembersOf): SetChange[] {
    const touched = new Set(sets.keys())
    for (const [id, list] of lists) for (const set of this.#roles.place(id, list)) touched.add(set)
    return [...touched].flatMap(id => this.#changeOne(id, sets.get(id), membersOf))
  }

  /** Every set, as if the kernel held none. */
  all(membersOf: MembersOf): SetChange[] {
    return [...this.#sets.keys()].sort().flatMap(id => {
      const delta = whole(membersOf(id))
      return this.#sets.get(id)!.flatMap(role => this.#changes(id, role, delta))
    })
  }

  #changeOne(id: SetId, delta: SetDelta | undefined, membersOf: MembersOf): SetChange[] {
    const before = this.#sets.get(id) ?? []
    const exists = delta?.created || (before.length > 0 && !delta?.removed)
    const now = exists ? this.#roles.of(id) : []
    if (exists) this.#sets.set(id, now)
    else this.#sets.delete(id)
    const changes: SetChange[] = []
    for (const role of now) {
      if (before.includes(role)) {
        if (delta !== undefined) changes.push(...this.#changes(id, role, delta))
        continue
      }
      for (const family of FAMILIES)
        this.#names.claim(identity(id, family, role), setName(setParts(id, role), family, this.#hash))
      changes.push(...this.#changes(id, role, delta?.created ? delta : whole(membersOf(id))))
    }
    for (const role of before) {
      if (now.includes(role)) continue
      changes.push(...this.#changes(id, role, GONE))
      for (const family of FAMILIES) this.#names.release(identity(id, family, role))
    }
    return changes
  }

  #changes(id: SetId, role: SetRole, delta: SetDelta): SetChange[] {
    return FAMILIES.flatMap(family => {
      const name = this.nameOf(id, family, role)
      return (name === null ? null : setChange(id, role, name, family, delta)) ?? []
    })
  }
}

function whole(members: Iterable<SetMember>): SetDelta {
  return { created: true, removed: false, added: [...members], deleted: [] }
}

function identity(id: SetId, family: Family, role: SetRole): string {
  return `set ${family} ${role} ${id}`
}
