/**
 * A map from a key to some values. A lone value is stored bare: most keys here have one, and an empty
 * JavaScript Set takes 200 bytes. Values must not be Sets themselves.
 */
export class MultiMap<Key, Value extends string | object> {
  readonly #values = new Map<Key, Value | Set<Value>>()

  /** The number of keys. */
  get size(): number {
    return this.#values.size
  }

  add(key: Key, value: Value): void {
    const held = this.#values.get(key)
    if (held === undefined) this.#values.set(key, value)
    else if (held instanceof Set) held.add(value)
    else if (held !== value) this.#values.set(key, new Set([held, value]))
  }

  delete(key: Key, value: Value): void {
    const held = this.#values.get(key)
    if (held instanceof Set) {
      held.delete(value)
      if (held.size > 1) return
      const [last] = held
      this.#values.set(key, last!)
    } else if (held === value) this.#values.delete(key)
  }

  has(key: Key): boolean {
    return this.#values.has(key)
  }

  /** How many values `key` has. */
  count(key: Key): number {
    const held = this.#values.get(key)
    if (held === undefined) return 0
    return held instanceof Set ? held.size : 1
  }

  /** The values of `key`. The map may be changed while they are read. */
  of(key: Key): readonly Value[] {
    const held = this.#values.get(key)
    if (held === undefined) return []
    return held instanceof Set ? [...held] : [held]
  }

  keys(): IterableIterator<Key> {
    return this.#values.keys()
  }
}
