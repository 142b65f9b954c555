import { FAMILIES, type Family } from '../model/values.ts'
import type { Table } from '../render/kernel-delta.ts'
import type { Guard } from './chain-book.ts'
import type { FamilyTables } from './family-tables.ts'
import { type ChainPlace, PARENTS, TABLES } from './own-names.ts'
import { type Reader, readChain, readTable, readTables, type TablePicture } from './picture.ts'
import type { Refusal } from './report.ts'
import type { SetBook } from './set-book.ts'
import { readOwnSets } from './set-picture.ts'

/** What a read found changed by someone else. */
export interface Drift {
  chains: ChainPlace[]
  hooks: ChainPlace[]
  /** Owners. */
  sets: readonly string[]
}

/** As many rules of a table are read in the time that one more program takes. */
const RULES_A_PROGRAM = 1000
/** Programs that read one table at once. */
const MOST_PROGRAMS = 8

/** Everything of ours, desired and held: the tables of both families and the sets, and how they are read. */
export class KernelBooks {
  readonly sets: SetBook
  readonly #reader: Reader
  readonly #tables: ReadonlyMap<Family, FamilyTables>
  /** False until the desired state is known: what is found till then is nobody's to judge. */
  adopted = false

  constructor(reader: Reader, tables: ReadonlyMap<Family, FamilyTables>, sets: SetBook) {
    this.#reader = reader
    this.#tables = tables
    this.sets = sets
  }

  of(family: Family): FamilyTables {
    const tables = this.#tables.get(family)
    if (tables === undefined) throw new RangeError(`no family ${family}`)
    return tables
  }

  reguard(guard: Guard): void {
    for (const tables of this.#tables.values()) tables.reguard(guard)
  }

  /** Is there a chain or a jump to write? */
  chainsDiffer(): boolean {
    return FAMILIES.some(family => this.of(family).differ())
  }

  retryRefused(): void {
    this.sets.retryShort()
    for (const [, , book] of this.#books()) book.retryRefused()
  }

  async read(): Promise<Drift> {
    const [kernel, sets] = await Promise.all([readTables(this.#reader), readOwnSets(this.#reader)])
    const drift: Drift = { chains: [], hooks: [], sets: [] }
    for (const [family, tables] of kernel)
      for (const table of TABLES) this.#observe(family, table, tables[table], drift)
    drift.sets = this.sets.observe(sets, { adopted: this.adopted })
    return drift
  }

  async readSets(): Promise<void> {
    this.sets.observe(await readOwnSets(this.#reader), { adopted: this.adopted })
  }

  /** Reads only these chains: ours, or parents of our jumps. All at once, since packets may pass meanwhile. */
  async readSome(places: readonly ChainPlace[]): Promise<Drift> {
    const reads = [...this.#touched(places)].map(async ([family, table, chains]) => {
      const { rules } = this.of(family).books[table].held()
      // Legacy copies the whole table for each chain, and waits for the lock to list one.
      const whole = this.#reader.backend === 'legacy'
      if (whole || chains.length > Math.min(1 + rules / RULES_A_PROGRAM, MOST_PROGRAMS)) {
        const picture = await readTable(this.#reader, family, table)
        return (drift: Drift) => this.#observe(family, table, picture, drift)
      }
      const read = await Promise.all(
        chains.map(async chain => [chain, await readChain(this.#reader, family, table, chain)] as const),
      )
      return (drift: Drift) => {
        for (const [chain, rules] of read) this.#observeChain({ family, table, chain }, rules, drift)
      }
    })
    const drift: Drift = { chains: [], hooks: [], sets: [] }
    for (const observe of await Promise.all(reads)) observe(drift)
    return drift
  }

  /** Reads back what was just repaired, to learn how this iptables prints it. */
  async verify(places: readonly ChainPlace[]): Promise<void> {
    const reads = [...this.#touched(places)].map(
      async ([family, table, chains]) =>
        [this.of(family).books[table], chains, await readTable(this.#reader, family, table)] as const,
    )
    for (const [book, chains, picture] of await Promise.all(reads))
      for (const chain of chains) book.verify(chain, picture.get(chain) ?? null)
  }

  /** Do the jumps, and the chains that decide behind them, stand in both families? */
  stand(): boolean {
    for (const [, , book] of this.#books()) if (!book.stands()) return false
    return true
  }

  refused(): readonly Refusal[] {
    return [...this.#books()].flatMap(([family, table, book]) =>
      book.refused().map(([{ name, owner, want }, said]) => {
        return { family, table, chain: name, owner, said, litter: want === null }
      }),
    )
  }

  held(): { readonly chains: number; readonly rules: number } {
    const held = { chains: 0, rules: 0 }
    for (const [, , book] of this.#books()) {
      const { chains, rules } = book.held()
      held.chains += chains
      held.rules += rules
    }
    return held
  }

  *#books() {
    for (const family of FAMILIES)
      for (const table of TABLES) yield [family, table, this.of(family).books[table]] as const
  }

  /** The tables that have any of these places, each with its chains. */
  *#touched(places: readonly ChainPlace[]) {
    for (const [family, table] of this.#books()) {
      const mine = places.filter(place => place.family === family && place.table === table)
      if (mine.length > 0) yield [family, table, mine.map(({ chain }) => chain)] as const
    }
  }

  #observe(family: Family, table: Table, picture: TablePicture, drift: Drift): void {
    const book = this.of(family).books[table]
    for (const { name } of book.observe(picture, this.adopted))
      drift.chains.push({ family, table, chain: name })
    for (const chain of book.hooks.parents(name => book.fateOf(name)))
      drift.hooks.push({ family, table, chain })
  }

  #observeChain(place: ChainPlace, rules: readonly string[] | null, drift: Drift): void {
    const { family, table, chain } = place
    const book = this.of(family).books[table]
    if (PARENTS[table].includes(chain)) {
      if (book.hooks.observeParent(chain, rules ?? [])) drift.hooks.push(place)
    } else if (book.observeChain(chain, rules)) drift.chains.push(place)
  }
}
