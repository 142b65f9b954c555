import type { SetDelta, SetMember } from './outcome.ts'

/** What others may ask of a set. */
export interface Members {
  readonly size: number
  has(address: string): boolean
  /** Canonical address texts of both families, in no particular order. */
  addresses(): IterableIterator<string>
}

export function memberOf(address: string): SetMember {
  return { family: address.includes(':') ? 6 : 4, address }
}

/**
 * The addresses of one set. An address that several endpoints own is counted, and leaves with the last of
 * them. The set remembers what changed since its delta was last taken: what came and went again is nothing.
 */
export class AddressSet implements Members {
  readonly #counts = new Map<string, number>()
  /** true: added since the last take; false: deleted since. */
  readonly #changes = new Map<string, boolean>()
  #taken = false

  get size(): number {
    return this.#counts.size
  }

  has(address: string): boolean {
    return this.#counts.has(address)
  }

  addresses(): IterableIterator<string> {
    return this.#counts.keys()
  }

  /** Whether a delta has told of this set. */
  get taken(): boolean {
    return this.#taken
  }

  add(address: string): void {
    const count = this.#counts.get(address) ?? 0
    this.#counts.set(address, count + 1)
    if (count === 0) this.#note(address, true)
  }

  remove(address: string): void {
    const count = this.#counts.get(address) ?? 0
    if (count > 1) this.#counts.set(address, count - 1)
    else if (this.#counts.delete(address)) this.#note(address, false)
  }

  /** The change since the last take, the first time all members; null when there is none. */
  take(): SetDelta | null {
    if (!this.#taken) {
      this.#taken = true
      return this.whole()
    }
    if (this.#changes.size === 0) return null
    const added: SetMember[] = []
    const deleted: SetMember[] = []
    for (const [address, came] of this.#changes) (came ? added : deleted).push(memberOf(address))
    this.#changes.clear()
    return { created: false, removed: false, added, deleted }
  }

  /** The set as if it were new. */
  whole(): SetDelta {
    const added = Array.from(this.#counts.keys(), memberOf)
    return { created: true, removed: false, added, deleted: [] }
  }

  #note(address: string, came: boolean): void {
    // A set that nobody was told of has no changes, only members.
    if (!this.#taken) return
    if (this.#changes.has(address)) this.#changes.delete(address)
    else this.#changes.set(address, came)
  }
}
