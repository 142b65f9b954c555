/** How many are remembered; a cluster's churn must not grow the agent. */
const MOST = 65_536

/** Addresses that endpoints elsewhere have given up, the latest ones: connections with them may still be open. */
export class DepartedAddresses {
  readonly #addresses = new Set<string>()

  add(address: string): void {
    this.#addresses.delete(address)
    this.#addresses.add(address)
    if (this.#addresses.size <= MOST) return
    for (const oldest of this.#addresses) {
      this.#addresses.delete(oldest)
      return
    }
  }

  /** Whether it was remembered; it no longer is. */
  take(address: string): boolean {
    return this.#addresses.delete(address)
  }
}
