import type { LocalEndpoint } from '../policy/outcome.ts'
import type { PolicyView } from '../policy/view.ts'
import type { RenderOptions } from './options.ts'
import { placeEndpoint, type Unseen } from './placed-endpoint.ts'

/** A local endpoint, closed also where only the rendering closes it. */
export interface PlacedLocal extends LocalEndpoint {
  /** Its traffic that meets no rule of ours; null: none. */
  readonly unseen: Unseen | null
}

/**
 * The local endpoints as the rendered rules treat them: policy does not know of interfaces and bridges, on which
 * it also depends who is closed. For all who say what packets do.
 */
export class PlacedView implements PolicyView {
  readonly #view: PolicyView
  readonly #options: RenderOptions
  /** Policy makes an endpoint anew whenever it changes. */
  readonly #placed = new WeakMap<LocalEndpoint, PlacedLocal>()

  constructor(view: PolicyView, options: RenderOptions) {
    this.#view = view
    this.#options = options
  }

  place(endpoint: LocalEndpoint): PlacedLocal {
    let placed = this.#placed.get(endpoint)
    if (placed === undefined) {
      const { closed, unseen } = placeEndpoint(endpoint, this.#options)
      placed = { ...endpoint, closed, unseen }
      this.#placed.set(endpoint, placed)
    }
    return placed
  }

  endpoint(id: string): PlacedLocal | undefined {
    const endpoint = this.#view.endpoint(id)
    return endpoint && this.place(endpoint)
  }

  localByAddress(address: string): readonly PlacedLocal[] {
    return this.#view.localByAddress(address).map(endpoint => this.place(endpoint))
  }

  list: PolicyView['list'] = id => this.#view.list(id)

  setMembers: PolicyView['setMembers'] = id => this.#view.setMembers(id)
}

/** The same without the endpoints that hang behind no gate: to what is forwarded, they are nobody's. */
export class GatedView implements PolicyView {
  readonly #view: PlacedView

  constructor(view: PlacedView) {
    this.#view = view
  }

  endpoint: PolicyView['endpoint'] = id => this.#view.endpoint(id)

  localByAddress(address: string): readonly PlacedLocal[] {
    return this.#view.localByAddress(address).filter(({ unseen }) => unseen?.what !== 'all')
  }

  list: PolicyView['list'] = id => this.#view.list(id)

  setMembers: PolicyView['setMembers'] = id => this.#view.setMembers(id)
}
