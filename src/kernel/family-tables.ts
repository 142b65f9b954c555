import type { ChainChange, Hook, Table } from '../render/kernel-delta.ts'
import { ChainBook, type ChainRecord, type Guard } from './chain-book.ts'
import type { KernelCounters } from './counters.ts'
import { isolate } from './isolate.ts'
import { TABLES } from './own-names.ts'
import type { TablePicture } from './picture.ts'
import { RestoreError } from './restore-error.ts'
import { type Transaction, transactionOf } from './transaction.ts'

/** Commits whole transactions of one family in order (a RestoreSession). */
export interface Committer {
  commit(transactions: readonly (readonly string[])[]): Promise<void>
}

export interface FamilyTablesOptions {
  readonly hooks: readonly Hook[]
  readonly session: Committer
  readonly counters: KernelCounters
  /** Reads a table afresh, after a refusal. */
  readonly read: (table: Table) => Promise<TablePicture>
  /** Told before each commit what the kernel will report of it. */
  readonly announce: (table: Table, chains: readonly string[]) => () => void
  /** Is this set about to go? A chain that uses it cannot keep its old content. */
  readonly setGoes: (name: string) => boolean
}

/** What one write did. */
export interface Written {
  chains: number
  rules: number
  transactions: number
}

/** The raw and filter table of one family: one restore session, one writer. */
export class FamilyTables {
  readonly books: Readonly<Record<Table, ChainBook>>
  readonly #options: FamilyTablesOptions

  constructor(options: FamilyTablesOptions) {
    this.#options = options
    this.books = { raw: new ChainBook('raw', options.hooks), filter: new ChainBook('filter', options.hooks) }
  }

  change(change: ChainChange, guard: Guard): void {
    this.books[change.table].change(change, guard)
  }

  adopt(changes: readonly ChainChange[], guard: Guard): void {
    for (const table of TABLES) {
      const own = changes.filter(change => change.table === table && change.rules !== null)
      this.books[table].adopt(own, guard)
    }
  }

  /** Keeps what stands of an earlier run, with its jumps. False: something is missing, and nothing is kept. */
  keepStanding(guard: Guard): boolean {
    const standing = TABLES.map(table => [this.books[table], this.books[table].standing()] as const)
    if (standing.some(([, names]) => names === null)) return false
    for (const [book, names] of standing) book.keep(names ?? [], guard)
    return true
  }

  reguard(guard: Guard): void {
    for (const table of TABLES) this.books[table].reguard(guard)
  }

  /** Is there anything to write? */
  differ(): boolean {
    return TABLES.some(table => this.books[table].differs())
  }

  /**
   * Brings the kernel to the desired state in one transaction a table. A refusal may be our picture's
   * fault, so the table is read and written once more; what is refused again is isolated. Throws
   * RestoreError when the tool was lost or busy: then nothing is known of the kernel.
   */
  async write(): Promise<Written> {
    const total: Written = { chains: 0, rules: 0, transactions: 0 }
    const tables = TABLES.map(table => this.books[table]).flatMap(book => {
      const transaction = this.#transactionOf(book)
      return transaction === null ? [] : [{ book, ...transaction }]
    })
    if (tables.length === 0) return total
    const failure = await this.#commit(tables.map(({ book, ...transaction }) => ({ book, transaction })))
    const done = failure === null ? tables.length : failure.acknowledged
    for (const { book, records } of tables.slice(0, done)) this.#confirm(book, records, total)
    for (const { book } of tables.slice(done)) await this.#again(book, total)
    return total
  }

  async #again(book: ChainBook, total: Written): Promise<void> {
    book.observe(await this.#options.read(book.table), true)
    const next = this.#transactionOf(book)
    if (next === null) return
    const failure = await this.#commit([{ book, transaction: next }])
    if (failure === null) return this.#confirm(book, next.records, total)
    const before = book.refused().length
    await isolate(book, failure, {
      setGoes: this.#options.setGoes,
      commit: async (transaction, records, content) => {
        const refusal = await this.#commit([{ book, transaction }])
        if (refusal === null) {
          total.transactions++
          total.chains += records.length
          book.written(records, content)
        }
        return refusal
      },
    })
    this.#options.counters.refusedChains += Math.max(0, book.refused().length - before)
  }

  #transactionOf(book: ChainBook): (Transaction & { readonly records: readonly ChainRecord[] }) | null {
    const records = book.pending()
    const transaction = transactionOf(book, records, { hooks: true })
    return transaction === null ? null : { ...transaction, records }
  }

  #confirm(book: ChainBook, records: readonly ChainRecord[], total: Written): void {
    total.transactions++
    total.chains += records.length
    for (const record of records) total.rules += record.want?.length ?? 0
    book.written(records, record => record.want)
    book.hooks.written(name => book.fateOf(name))
  }

  /** Returns the refusal, or null when all are acknowledged; throws what is no refusal. */
  async #commit(
    parts: readonly { readonly book: ChainBook; readonly transaction: Transaction }[],
  ): Promise<RestoreError | null> {
    const withdraw = parts.map(({ book, transaction }) =>
      this.#options.announce(book.table, transaction.touches),
    )
    try {
      await this.#options.session.commit(parts.map(({ transaction }) => transaction.lines))
      return null
    } catch (error) {
      const acknowledged = error instanceof RestoreError ? error.acknowledged : 0
      for (const undo of withdraw.slice(acknowledged)) undo()
      if (error instanceof RestoreError && error.failure === 'refused') return error
      throw error
    }
  }
}
