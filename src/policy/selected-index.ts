import type { ClusterEndpoint } from './cluster-endpoint.ts'
import { LabelIndex } from './label-index.ts'
import { mayPick, SelectorIndex } from './selector-index.ts'
import type { TrackedSet } from './tracked-set.ts'

/** Which endpoints are picked by which selector, through their labels; keeps the sets of the selectors in use. */
export class SelectedIndex {
  readonly #endpoints = new LabelIndex<ClusterEndpoint>()
  /** Endpoints whose labels are not all known. */
  readonly #doubtful = new Set<ClusterEndpoint>()
  readonly #selectors = new SelectorIndex<TrackedSet>()

  activate(set: TrackedSet): void {
    const selector = set.selector!
    this.#selectors.add(selector, set)
    for (const endpoint of this.#endpoints.picked(selector)) set.join(endpoint, null)
    for (const endpoint of this.#doubtful)
      if (mayPick(selector, endpoint.labels.labels)) set.join(endpoint, endpoint.doubt)
  }

  deactivate(set: TrackedSet): void {
    this.#selectors.remove(set.selector!, set)
  }

  join(endpoint: ClusterEndpoint): void {
    if (endpoint.doubt === null) this.#endpoints.add(endpoint.labels, endpoint)
    else this.#doubtful.add(endpoint)
    for (const set of this.#setsOf(endpoint)) set.join(endpoint, endpoint.doubt)
  }

  leave(endpoint: ClusterEndpoint): void {
    for (const set of this.#setsOf(endpoint)) set.leave(endpoint, endpoint.doubt)
    if (endpoint.doubt === null) this.#endpoints.remove(endpoint.labels, endpoint)
    else this.#doubtful.delete(endpoint)
  }

  #setsOf(endpoint: ClusterEndpoint): Iterable<TrackedSet> {
    const { labels } = endpoint.labels
    return endpoint.doubt === null ? this.#selectors.picking(labels) : this.#selectors.possiblyPicking(labels)
  }
}
