import type { Unmet } from '../kernel/report.ts'

/** A point in what was taken in. */
export interface RevisionMark {
  readonly revision: string | null
  readonly taken: number
}

/** How far the store's revisions have come on their way into the kernel. */
export class Revisions {
  #taken = 0
  #carried = 0
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

  /** Events taken in. Several may come under one revision. */
  get taken(): number {
    return this.#taken
  }

  /** How many of them were carried out, as `applied` has it. */
  get carried(): number {
    return this.#carried
  }

  see(revision: string): void {
    this.#seen = revision
    this.#taken++
  }

  /** Everything taken in up to now. */
  mark(): RevisionMark {
    return { revision: this.#seen, taken: this.#taken }
  }

  /** The kernel was brought to this point, but for what is unmet. */
  apply({ revision, taken }: RevisionMark, unmet: Unmet): void {
    this.#applied = revision
    this.#carried = taken
    this.settle(unmet)
  }

  /** What is unmet now, after a repair or another try. */
  settle({ refused, short }: Unmet): void {
    if (short.length === 0 && refused.every(({ litter }) => litter)) this.#enforced = this.#applied
  }
}
