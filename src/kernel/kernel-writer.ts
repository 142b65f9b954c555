import { FAMILIES } from '../model/values.ts'
import type { IpsetSession, LineFailure } from './ipset/session.ts'
import type { Drift, KernelBooks } from './kernel-books.ts'
import type { Applied } from './report.ts'
import { RestoreError } from './restore-error.ts'
import type { SetPhase } from './set-book.ts'
import { withoutSets, withoutShortSets } from './short-sets.ts'

/** How often a write is tried before its error is the caller's. */
const ATTEMPTS = 3

type Total = { -readonly [Name in 'transactions' | 'chains' | 'rules' | 'setLines']: Applied[Name] }

/** Writes what the books say differs, in the order that never opens anything. Not to be called twice at once. */
export class KernelWriter {
  readonly #books: KernelBooks
  readonly #ipset: Pick<IpsetSession, 'run'>
  #short: ReadonlySet<string> = new Set()
  #unmade: ReadonlySet<string> = new Set()
  /** The last set line that failed after all attempts, for another reason than a full set. */
  setTrouble: LineFailure | null = null
  /** The kernel may differ from the books' picture: after any error, and before the first read. */
  doubt = true

  constructor(books: KernelBooks, ipset: Pick<IpsetSession, 'run'>) {
    this.#books = books
    this.#ipset = ipset
  }

  /**
   * What each chain's rules are to be written as, while sets lack members. Without a set of cut connections none is
   * cut, which is no reason to close everything.
   */
  readonly guard = (rules: readonly string[]): readonly string[] =>
    withoutShortSets(withoutSets(rules, this.#unmade), this.#short)

  async read(): Promise<Drift> {
    this.doubt = true
    const drift = await this.#books.read()
    this.doubt = false
    return drift
  }

  /**
   * Before chains change, sets are written as far as that can only close; after the chains the rest. So at no
   * moment is anything allowed that was not before and will not be after: an address never carries what its last
   * owner was allowed, and a new rule never meets the members of an old one.
   */
  async flush(order: 'sets first' | 'tables first'): Promise<Total> {
    const total: Total = { transactions: 0, chains: 0, rules: 0, setLines: 0 }
    for (let attempt = 1; ; attempt++) {
      try {
        if (this.doubt) await this.read()
        if (order === 'tables first') await this.#writeTables(total)
        // Members that come and go elsewhere are one batch.
        const inOne = !this.#books.chainsDiffer() && !this.#books.sets.closesFirst()
        const early = inOne ? undefined : await this.#writeSets('before chains', total)
        await this.#writeTables(total)
        const late = await this.#writeSets('after chains', total)
        // What a set did not take late concerns the rules that use it.
        if (late !== undefined) await this.#writeTables(total)
        if (early !== undefined || late !== undefined) this.setTrouble = early ?? late ?? null
        return total
      } catch (error) {
        this.doubt = true
        // A tool that was killed is started again; a lock that is held for so long is for the caller to tell.
        if (attempt === ATTEMPTS || (error instanceof RestoreError && error.failure === 'busy')) throw error
      }
    }
  }

  /** Resolves with what still failed after all attempts; undefined: there was nothing to do. */
  async #writeSets(phase: SetPhase, total: Total): Promise<LineFailure | null | undefined> {
    const { sets } = this.#books
    for (let attempt = 1; ; attempt++) {
      const lines = sets.lines(phase)
      if (lines.length === 0) return attempt === 1 ? undefined : null
      total.transactions++
      total.setLines += lines.length
      const trouble = sets.confirm(await this.#ipset.run(lines))
      this.#guardAgain()
      if (trouble === null) return null
      await this.#books.readSets()
      if (attempt < ATTEMPTS) continue
      sets.giveUp(trouble)
      this.#guardAgain()
      return trouble
    }
  }

  async #writeTables(total: Total): Promise<void> {
    const results = await Promise.allSettled(FAMILIES.map(family => this.#books.of(family).write()))
    for (const result of results) {
      if (result.status === 'rejected') continue
      total.transactions += result.value.transactions
      total.chains += result.value.chains
      total.rules += result.value.rules
    }
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** Rules that use a set which lacks members are written so that this opens nothing, and back again. */
  #guardAgain(): void {
    const { members, sets } = this.#books.sets.lacking()
    if (sameNames(this.#short, members) && sameNames(this.#unmade, sets)) return
    this.#short = new Set(members)
    this.#unmade = new Set(sets)
    this.#books.reguard(this.guard)
  }
}

function sameNames(known: ReadonlySet<string>, names: readonly string[]): boolean {
  return known.size === names.length && names.every(name => known.has(name))
}
