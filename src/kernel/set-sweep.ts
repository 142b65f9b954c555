import type { IpsetSession } from './ipset/session.ts'
import type { SetBook } from './set-book.ts'

/**
 * The kernel lets go of a set 12 to 32 ms after the last rule that used it (nft, measured), so the first
 * try comes after that, and further ones ever later. Given up, the next write wakes it again.
 */
const FIRST_MS = 40
const TRIES = 8

/** Destroys sets that are no longer wanted, in the background. */
export class SetSweep {
  readonly #book: SetBook
  readonly #ipset: IpsetSession
  readonly #inTurn: (work: () => Promise<void>) => Promise<void>
  #timer: NodeJS.Timeout | null = null
  #tries = 0
  #waiters: (() => void)[] = []

  /** `inTurn` runs work while nothing else writes. */
  constructor(book: SetBook, ipset: IpsetSession, inTurn: (work: () => Promise<void>) => Promise<void>) {
    this.#book = book
    this.#ipset = ipset
    this.#inTurn = inTurn
  }

  wake(): void {
    this.#tries = 0
    if (this.#timer === null && this.#book.doomed().length > 0) this.#later()
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#rest()
  }

  /** Resolves when nothing is waiting to be destroyed, or it was given up. */
  settled(): Promise<void> {
    if (this.#timer === null) return Promise.resolve()
    return new Promise(resolve => this.#waiters.push(resolve))
  }

  #later(): void {
    this.#timer = setTimeout(
      () => {
        this.#inTurn(() => this.#sweep())
          .catch(() => {})
          .then(() => {
            if (this.#timer === null) return
            this.#timer = null
            if (this.#book.doomed().length > 0 && ++this.#tries < TRIES) this.#later()
            else this.#rest()
          })
      },
      FIRST_MS * 2 ** this.#tries,
    )
    this.#timer.unref()
  }

  async #sweep(): Promise<void> {
    const [first, ...rest] = this.#book.doomed()
    if (first === undefined) return
    // At first one tells whether the grace period is over, a thousand refusals would tell no more; later it
    // may be that one alone which someone else uses.
    if ((await this.#destroy([first])) || this.#tries > 1) await this.#destroy(rest)
  }

  /** Returns whether all of them went. */
  async #destroy(names: readonly string[]): Promise<boolean> {
    const failures = await this.#ipset.run(names.map(name => `destroy ${name}`))
    const kept = new Set<string>()
    for (const { line, said } of failures)
      if (!said.includes('does not exist')) kept.add(line.slice('destroy '.length))
    for (const name of names) if (!kept.has(name)) this.#book.destroyed(name)
    return kept.size === 0
  }

  #rest(): void {
    for (const resolve of this.#waiters) resolve()
    this.#waiters = []
  }
}
