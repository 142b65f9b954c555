/** Labels that many endpoints share: equal labels are one object, so that it can key an index. */
export interface SharedLabels {
  readonly key: string
  readonly labels: ReadonlyMap<string, string>
  /** How many hold it. */
  holders: number
}

/** Equal text for equal labels, whatever their order. */
function keyOf(labels: ReadonlyMap<string, string>): string {
  return labels.size === 0
    ? ''
    : JSON.stringify([...labels].sort(([left], [right]) => (left < right ? -1 : 1)))
}

/**
 * Keeps one copy of equal labels. In a large cluster a few hundred label sets stand behind a hundred thousand
 * endpoints; this saves their memory, and a selector is then evaluated once for each label set.
 */
export class LabelPool {
  readonly #shared = new Map<string, SharedLabels>()

  /** The shared copy of `labels`. Every hold needs one release. */
  hold(labels: ReadonlyMap<string, string>): SharedLabels {
    const key = keyOf(labels)
    let shared = this.#shared.get(key)
    if (shared === undefined) {
      shared = { key, labels, holders: 0 }
      this.#shared.set(key, shared)
    }
    shared.holders++
    return shared
  }

  /** One more hold of what is already held. */
  share(shared: SharedLabels): SharedLabels {
    shared.holders++
    return shared
  }

  release(shared: SharedLabels): void {
    shared.holders--
    if (shared.holders === 0) this.#shared.delete(shared.key)
  }

  /** The number of distinct label sets. */
  get size(): number {
    return this.#shared.size
  }
}

/** Own labels win over inherited ones; among the inherited the first in the list wins. */
export function inheritLabels(
  own: ReadonlyMap<string, string>,
  inherited: readonly ReadonlyMap<string, string>[],
): ReadonlyMap<string, string> {
  if (inherited.every(labels => labels.size === 0)) return own
  const merged = new Map(own)
  for (const labels of inherited)
    for (const [key, value] of labels) if (!merged.has(key)) merged.set(key, value)
  return merged
}
