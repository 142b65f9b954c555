import { FAMILIES, type Family } from '../model/values.ts'
import type { Chain } from './chain.ts'
import { Dispatch } from './dispatch.ts'
import type { Owner } from './owner-rules.ts'
import type { PlacedEndpoint } from './placed-endpoint.ts'
import type { Style } from './style.ts'

/** The local endpoints in the dispatch of both families, and which family's trees are to be made again. */
export class DispatchBook {
  readonly #endpoints = new Map<string, PlacedEndpoint>()
  readonly #families: Readonly<Record<Family, Dispatch>>
  /** At first both: the roots stand even when they are empty. */
  readonly #dirty = new Set<Family>(FAMILIES)

  constructor(style: Style) {
    this.#families = { 4: new Dispatch(4, style), 6: new Dispatch(6, style) }
  }

  /** An endpoint is known by its addresses and its attachment; a change of anything else touches no tree. */
  place(id: string, owner: Owner | null): void {
    const before = this.#endpoints.get(id) ?? null
    if (owner === null) this.#endpoints.delete(id)
    else this.#endpoints.set(id, owner.endpoint)
    if (before !== null && owner !== null && sameDispatch(before, owner.endpoint)) return
    for (const family of FAMILIES) {
      const old = before?.addresses[family] ?? []
      const now = owner?.endpoint.addresses[family] ?? []
      for (const address of old) this.#families[family].set(address, id, null)
      for (const address of now) this.#families[family].set(address, id, owner)
      if (old.length > 0 || now.length > 0) this.#dirty.add(family)
    }
  }

  /** All chains of each family whose trees may have changed since the last take. */
  take(): (readonly [Family, Chain[]])[] {
    const taken = [...this.#dirty].map(family => [family, this.#families[family].chains()] as const)
    this.#dirty.clear()
    return taken
  }
}

function sameDispatch(left: PlacedEndpoint, right: PlacedEndpoint): boolean {
  const text = ({ attachment, addresses }: PlacedEndpoint) =>
    JSON.stringify([attachment, addresses[4], addresses[6]])
  return text(left) === text(right)
}
