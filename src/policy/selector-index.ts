import type { Selector } from '../model/selector.ts'
import { MultiMap } from './multi-map.ts'

type Need = Selector['needs'][number]

interface Entry<Item> {
  readonly selector: Selector
  /** The need under which it is filed; null: filed as matching anything. */
  readonly need: Need | null
  readonly items: Set<Item>
}

/**
 * Items by their selector. Labels are held against those selectors only of which one need is satisfied, and
 * once for selectors that are written alike.
 */
export class SelectorIndex<Item> {
  readonly #entries = new Map<string, Entry<Item>>()
  readonly #byValue = new Map<string, MultiMap<string, Entry<Item>>>()
  readonly #byKey = new MultiMap<string, Entry<Item>>()
  readonly #needless = new Set<Entry<Item>>()

  add(selector: Selector, item: Item): void {
    let entry = this.#entries.get(selector.text)
    if (entry === undefined) {
      entry = { selector, need: this.#rarest(selector), items: new Set() }
      this.#entries.set(selector.text, entry)
      this.#file(entry)
    }
    entry.items.add(item)
  }

  remove(selector: Selector, item: Item): void {
    const entry = this.#entries.get(selector.text)
    entry?.items.delete(item)
    if (entry === undefined || entry.items.size > 0) return
    this.#entries.delete(selector.text)
    this.#unfile(entry)
  }

  /** Every item whose selector picks `labels`, once. */
  *picking(labels: ReadonlyMap<string, string>): Generator<Item, void> {
    for (const entry of this.#candidates(labels)) if (entry.selector.matches(labels)) yield* entry.items
  }

  /** Every item whose selector might pick an endpoint of which only `certain` is known, once. */
  *possiblyPicking(certain: ReadonlyMap<string, string>): Generator<Item, void> {
    for (const entry of this.#entries.values()) if (mayPick(entry.selector, certain)) yield* entry.items
  }

  /** A need with values beats one without; among the former the one that the fewest others are filed under. */
  #rarest(selector: Selector): Need | null {
    let best: Need | null = null
    let least = Number.POSITIVE_INFINITY
    for (const need of selector.needs) {
      if (need.values === null) {
        best ??= need
        continue
      }
      const byValue = this.#byValue.get(need.key)
      const weight = need.values.reduce((sum, value) => sum + (byValue?.count(value) ?? 0), 0)
      if (weight < least) {
        best = need
        least = weight
      }
    }
    return best
  }

  #file(entry: Entry<Item>): void {
    if (entry.need === null) this.#needless.add(entry)
    else if (entry.need.values === null) this.#byKey.add(entry.need.key, entry)
    else {
      let byValue = this.#byValue.get(entry.need.key)
      if (byValue === undefined) {
        byValue = new MultiMap()
        this.#byValue.set(entry.need.key, byValue)
      }
      for (const value of entry.need.values) byValue.add(value, entry)
    }
  }

  #unfile(entry: Entry<Item>): void {
    if (entry.need === null) this.#needless.delete(entry)
    else if (entry.need.values === null) this.#byKey.delete(entry.need.key, entry)
    else {
      const byValue = this.#byValue.get(entry.need.key)
      for (const value of entry.need.values) byValue?.delete(value, entry)
      if (byValue?.size === 0) this.#byValue.delete(entry.need.key)
    }
  }

  *#candidates(labels: ReadonlyMap<string, string>): Generator<Entry<Item>, void> {
    yield* this.#needless
    for (const [key, value] of labels) {
      yield* this.#byKey.of(key)
      yield* this.#byValue.get(key)?.of(value) ?? []
    }
  }
}

/**
 * Whether labels that extend `certain` could satisfy `selector`, as far as its needs tell: true when in doubt.
 * Labels in `certain` keep their value; any other label may be there with any value.
 */
export function mayPick(selector: Selector, certain: ReadonlyMap<string, string>): boolean {
  return selector.needs.every(({ key, values }) => {
    const value = certain.get(key)
    return value === undefined || values === null || values.includes(value)
  })
}
