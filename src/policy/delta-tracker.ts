import { isDeepStrictEqual } from 'node:util'

/** Values by key, and which of them differ from what was last taken. */
export class DeltaTracker<Key, Value> {
  readonly #now = new Map<Key, Value>()
  /** What each touched key held when the delta was last taken; null: nothing. */
  readonly #before = new Map<Key, Value | null>()

  get size(): number {
    return this.#now.size
  }

  get(key: Key): Value | undefined {
    return this.#now.get(key)
  }

  entries(): IterableIterator<[Key, Value]> {
    return this.#now.entries()
  }

  values(): IterableIterator<Value> {
    return this.#now.values()
  }

  /** Null takes the key away. A value equal to the present one changes nothing. */
  set(key: Key, value: Value | null): void {
    const now = this.#now.get(key) ?? null
    if (isDeepStrictEqual(now, value)) return
    if (!this.#before.has(key)) this.#before.set(key, now)
    if (value === null) this.#now.delete(key)
    else this.#now.set(key, value)
  }

  /** The keys that differ from what was last taken, with their value before and now. */
  take(): Map<Key, { readonly before: Value | null; readonly now: Value | null }> {
    const delta = new Map<Key, { before: Value | null; now: Value | null }>()
    for (const [key, before] of this.#before) {
      const now = this.#now.get(key) ?? null
      if (!isDeepStrictEqual(before, now)) delta.set(key, { before, now })
    }
    this.#before.clear()
    return delta
  }
}
