import type { KeyChange } from '../../source/event.ts'
import type { Entry } from './tree-text.ts'

/** The entries of a tree in groups that are told anew as a whole, and what of them has changed since the last take. */
export class EntryGroups {
  readonly #values = new Map<string, string>()
  readonly #keys = new Map<string, readonly string[]>()
  /** What stood at the last take, for each key that was touched since. */
  readonly #before = new Map<string, string | null>()

  /** Puts a group's entries in the place of those it had; none: the group is gone. No two groups share a key. */
  set(group: string, entries: readonly Entry[]): void {
    const now = new Set(entries.map(([key]) => key))
    for (const key of this.#keys.get(group) ?? []) if (!now.has(key)) this.#put(key, null)
    for (const [key, value] of entries) this.#put(key, value)
    if (entries.length === 0) this.#keys.delete(group)
    else this.#keys.set(group, [...now])
  }

  /** Each key once with what it is now (null: gone), where that is another than at the last take. Gone ones come first. */
  take(): KeyChange[] {
    const changes = [...this.#before].flatMap(([key, before]) => {
      const value = this.#values.get(key) ?? null
      return value === before ? [] : [{ key, value }]
    })
    this.#before.clear()
    return [
      ...changes.filter(({ value }) => value === null),
      ...changes.filter(({ value }) => value !== null),
    ]
  }

  /** All entries, in a map of the caller's own. */
  entries(): Map<string, string> {
    return new Map(this.#values)
  }

  #put(key: string, value: string | null): void {
    const before = this.#values.get(key) ?? null
    if (before === value) return
    if (!this.#before.has(key)) this.#before.set(key, before)
    if (value === null) this.#values.delete(key)
    else this.#values.set(key, value)
  }
}
