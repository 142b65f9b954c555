import type { Selector } from '../model/selector.ts'
import type { SharedLabels } from './label-pool.ts'
import { MultiMap } from './multi-map.ts'

type Need = Selector['needs'][number]

/**
 * Items by their labels. A selector is evaluated once for each distinct label set that satisfies the rarest
 * of its needs, and for no other; only a selector without any need looks at all label sets.
 */
export class LabelIndex<Item extends object> {
  readonly #items = new MultiMap<SharedLabels, Item>()
  readonly #byKey = new Map<string, MultiMap<string, SharedLabels>>()

  add(labels: SharedLabels, item: Item): void {
    if (!this.#items.has(labels)) this.#file(labels)
    this.#items.add(labels, item)
  }

  remove(labels: SharedLabels, item: Item): void {
    this.#items.delete(labels, item)
    if (!this.#items.has(labels)) this.#unfile(labels)
  }

  /** Every item that `selector` picks, once. */
  *picked(selector: Selector): Generator<Item, void> {
    for (const labels of this.#candidates(selector))
      if (selector.matches(labels.labels)) yield* this.#items.of(labels)
  }

  #file(labels: SharedLabels): void {
    for (const [key, value] of labels.labels) {
      let byValue = this.#byKey.get(key)
      if (byValue === undefined) {
        byValue = new MultiMap()
        this.#byKey.set(key, byValue)
      }
      byValue.add(value, labels)
    }
  }

  #unfile(labels: SharedLabels): void {
    for (const [key, value] of labels.labels) {
      const byValue = this.#byKey.get(key)
      byValue?.delete(value, labels)
      if (byValue?.size === 0) this.#byKey.delete(key)
    }
  }

  /** How many label sets satisfy `need`; for a key that only must exist, how many values it has (no more than that). */
  #weight(need: Need): number {
    const byValue = this.#byKey.get(need.key)
    if (byValue === undefined) return 0
    if (need.values === null) return byValue.size
    return need.values.reduce((sum, value) => sum + byValue.count(value), 0)
  }

  *#candidates(selector: Selector): Generator<SharedLabels, void> {
    let best: Need | undefined
    let least = Number.POSITIVE_INFINITY
    for (const need of selector.needs) {
      const weight = this.#weight(need)
      if (weight < least) {
        best = need
        least = weight
      }
    }
    if (best === undefined) {
      yield* [...this.#items.keys()]
      return
    }
    const byValue = this.#byKey.get(best.key)
    if (byValue === undefined) return
    for (const value of best.values ?? [...byValue.keys()]) yield* byValue.of(value)
  }
}
