import type { KeyChange } from '../../source/event.ts'
import { ROOT } from '../../source/v1-tree.ts'

/**
 * The v1 tree as it is to be, with what differs since it was last told. A value that changed and changed back in
 * between is no difference.
 */
export class V1Draft {
  readonly #values = new Map<string, string>()
  /** The values told last of the keys that were written since; null: told as gone, or never told. */
  readonly #told = new Map<string, string | null>()

  /** `value` null: the key is gone. */
  set(key: string, value: string | null): void {
    const before = this.#values.get(key) ?? null
    if (before === value) return
    if (!this.#told.has(key)) this.#told.set(key, before)
    if (value === null) this.#values.delete(key)
    else this.#values.set(key, value)
  }

  /** What differs since the last call, in an order in which nothing is open for a moment. */
  take(): KeyChange[] {
    const changes: KeyChange[] = []
    for (const [key, before] of this.#told) {
      const value = this.#values.get(key) ?? null
      if (value !== before) changes.push({ key, value })
    }
    this.#told.clear()
    return changes.sort((left, right) => rank(left) - rank(right))
  }

  /** Everything, in the same order; nothing differs then. */
  whole(): ReadonlyMap<string, string> {
    this.#told.clear()
    const entries = Array.from(this.#values, ([key, value]) => ({ key, value }))
    entries.sort((left, right) => rank(left) - rank(right))
    return new Map(entries.map(({ key, value }) => [key, value]))
  }
}

/**
 * Who reads or writes a part of the changes only must not see an endpoint without what restricts it, nor an
 * address with two owners.
 */
function rank({ key, value }: KeyChange): number {
  const isEndpoint = key.startsWith(`${ROOT}host/`)
  if (value === null) return isEndpoint ? 0 : 4
  if (isEndpoint) return 3
  return key.startsWith(`${ROOT}policy/tier/`) ? 1 : 2
}
