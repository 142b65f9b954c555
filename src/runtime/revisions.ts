import type { Unmet } from '../kernel/report.ts'

/** How far the store's revisions have come on their way into the kernel. */
export class Revisions {
  #seen: string | null = null
  #applied: string | null = null
  #enforced: string | null = null

  /** As seen last. */
  get seen(): string | null {
    return this.#seen
  }

  /** The last one that was carried out as far as the kernel takes it. What it did not take is told by name. */
  get applied(): string | null {
    return this.#applied
  }

  /** The last one of which the kernel has acknowledged everything. */
  get enforced(): string | null {
    return this.#enforced
  }

  see(revision: string): void {
    this.#seen = revision
  }

  /** The kernel was brought to this one, but for what is unmet. */
  apply(revision: string | null, unmet: Unmet): void {
    this.#applied = revision
    this.settle(unmet)
  }

  /** What is unmet now, after a repair or another try. */
  settle({ refused, short }: Unmet): void {
    if (short.length === 0 && refused.every(({ litter }) => litter)) this.#enforced = this.#applied
  }
}
