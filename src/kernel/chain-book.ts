import type { ChainChange, ChainRank, Hook, Table } from '../render/kernel-delta.ts'
import { HookBook } from './hook-book.ts'
import { PREFIX } from './own-names.ts'
import type { TablePicture } from './picture.ts'

/** One chain: what it should hold and what the kernel holds. */
export interface ChainRecord {
  readonly name: string
  /** As asked for. Null: it is to go. */
  asked: readonly string[] | null
  /** As it is to be written: `asked` after the guard. */
  want: readonly string[] | null
  /** Null: the kernel has none. The same array as `want` once acknowledged. */
  have: readonly string[] | null
  rank: ChainRank
  owner: string
  /** How this iptables prints `want` back, where that differs from what was written. */
  printed: readonly string[] | null
  /** Found, and not ours to judge before the desired state is known. */
  stray: boolean
}

/** Rewrites a chain's rules before they are written; the same array when there is nothing to do. */
export type Guard = (rules: readonly string[]) => readonly string[]

/** Chains of one table of one family: desired state against the kernel's, and the restore text between them. */
export class ChainBook {
  readonly table: Table
  readonly hooks: HookBook
  readonly #records = new Map<string, ChainRecord>()
  readonly #dirty = new Set<ChainRecord>()
  readonly #refused = new Map<ChainRecord, string>()

  constructor(table: Table, hooks: readonly Hook[]) {
    this.table = table
    this.hooks = new HookBook(hooks.filter(hook => hook.table === table))
  }

  /** `guard` gives the rules as they are to be written. */
  change(change: Omit<ChainChange, 'family'>, guard: Guard): void {
    const known = this.#records.get(change.name)
    if (change.rules === null) {
      if (known === undefined) return
      known.asked = null
      known.want = null
      known.stray = false
      this.#refused.delete(known)
      this.#note(known)
      return
    }
    const record = known ?? newRecord(change)
    this.#records.set(change.name, record)
    record.asked = change.rules
    this.#want(record, guard)
    record.rank = change.rank
    record.owner = change.owner
    record.stray = false
    this.#note(record)
  }

  /** Makes these the whole desired state. */
  adopt(changes: readonly ChainChange[], guard: Guard): void {
    const names = new Set(changes.map(change => change.name))
    for (const record of this.#records.values()) {
      if (names.has(record.name)) continue
      record.asked = null
      record.want = null
      record.stray = false
      this.#refused.delete(record)
      this.#note(record)
    }
    for (const change of changes) this.change(change, guard)
  }

  /** The guard judges otherwise now: what it changes becomes pending. */
  reguard(guard: Guard): void {
    for (const record of this.#records.values()) {
      if (record.asked === null) continue
      this.#want(record, guard)
      this.#note(record)
    }
  }

  /**
   * The chains that decide whatever comes back from a jump: those of the hooks, and all that gotos lead to from
   * there. Null when one of them is missing or empty, so that what it should hold back would pass.
   */
  standing(): readonly string[] | null {
    const names = new Set(this.hooks.chains)
    for (const name of names) {
      const rules = this.#records.get(name)?.have ?? []
      if (rules.length === 0) return null
      for (const rule of rules) {
        const target = GOTO.exec(rule)?.[1]
        if (target !== undefined) names.add(target)
      }
    }
    return [...names]
  }

  /** Does the kernel hold the jumps to the hooks' chains, and what decides behind them? */
  stands(): boolean {
    return this.hooks.parents(name => this.fateOf(name)).length === 0 && this.standing() !== null
  }

  /** Makes what the kernel holds of these chains their desired content, until the desired state is known. */
  keep(names: readonly string[], guard: Guard): void {
    for (const name of names) {
      const rules = this.#records.get(name)?.have ?? null
      this.change({ name, table: this.table, rules, rank: 'top', owner: 'a chain of an earlier run' }, guard)
    }
  }

  /** Takes note of the whole table as read. Returns the records that something else had changed. */
  observe(picture: TablePicture, adopted: boolean): readonly ChainRecord[] {
    const drifted: ChainRecord[] = []
    for (const name of picture.keys()) {
      if (name.startsWith(PREFIX) && !this.#records.has(name)) this.#addStray(name, adopted)
    }
    for (const record of this.#records.values()) {
      if (this.observeChain(record.name, picture.get(record.name) ?? null)) drifted.push(record)
    }
    this.hooks.observe(picture)
    return drifted
  }

  /** Takes note of one chain of ours as read. Returns whether something else had changed it. */
  observeChain(name: string, rules: readonly string[] | null): boolean {
    const record = this.#records.get(name)
    if (record === undefined) return false
    const believed = record.have
    record.have = rules
    if (rules !== null && record.want !== null) {
      const agrees =
        sameRules(rules, record.want) || (record.printed !== null && sameRules(rules, record.printed))
      if (agrees) record.have = record.want
    }
    if (record.have !== null && believed !== null && sameRules(record.have, believed)) record.have = believed
    this.#note(record)
    return !record.stray && record.have !== believed
  }

  /**
   * Takes note of a chain read back right after it was written. Where it still reads differently, but with
   * the same heading and as many rules, this iptables only prints it otherwise: remembered, so that it is
   * not written for ever.
   */
  verify(name: string, rules: readonly string[] | null): void {
    const want = this.#records.get(name)?.want ?? null
    const record = this.#records.get(name)
    const alike = want !== null && rules?.length === want.length && rules[0] === want[0]
    if (record !== undefined && record.have === want && alike && !sameRules(rules, want))
      record.printed = rules
    else this.observeChain(name, rules)
  }

  /** Records that differ from the kernel, without those that were refused as they are. */
  pending(): readonly ChainRecord[] {
    return [...this.#dirty].filter(record => !this.#refused.has(record))
  }

  /** Is there a chain or a jump to write? */
  differs(): boolean {
    return this.pending().length > 0 || this.hooks.parents(name => this.fateOf(name)).length > 0
  }

  /** The kernel refused `want` with these words: it is not tried again before that changes, or a resync. */
  refuse(record: ChainRecord, said: string): void {
    this.#refused.set(record, said)
  }

  refused(): readonly (readonly [ChainRecord, string])[] {
    return [...this.#refused]
  }

  /** Lets refused chains be tried again. */
  retryRefused(): void {
    this.#refused.clear()
  }

  /** They were written, each with `content` (its desired rules, or a stand-in). */
  written(records: readonly ChainRecord[], content: (record: ChainRecord) => readonly string[] | null): void {
    for (const record of records) {
      record.have = content(record)
      this.#note(record)
    }
  }

  /** What is to become of a chain: `leave` while the desired state is not known. */
  fateOf(name: string): 'keep' | 'go' | 'leave' {
    const record = this.#records.get(name)
    if (record?.stray) return 'leave'
    return record === undefined || record.want === null ? 'go' : 'keep'
  }

  /** Chains of ours as the kernel holds them, by name. */
  chains(): ReadonlyMap<string, readonly string[]> {
    const chains = new Map<string, readonly string[]>()
    for (const { name, have } of this.#records.values()) if (have !== null) chains.set(name, have)
    return chains
  }

  /** How many chains of ours the kernel holds, and how many rules in them. */
  held(): { readonly chains: number; readonly rules: number } {
    let chains = 0
    let rules = 0
    for (const { have } of this.#records.values()) {
      if (have === null) continue
      chains++
      rules += have.length
    }
    return { chains, rules }
  }

  #want(record: ChainRecord, guard: Guard): void {
    const rules = guard(record.asked ?? [])
    if (record.want === null || !sameRules(record.want, rules)) {
      record.want = rules
      record.printed = null
      this.#refused.delete(record)
    }
    if (record.have !== null && sameRules(record.have, record.want)) record.have = record.want
  }

  #addStray(name: string, adopted: boolean): void {
    const record = newRecord({ name, rank: 'list', owner: 'a chain of an earlier run' })
    record.stray = !adopted
    this.#records.set(name, record)
  }

  #note(record: ChainRecord): void {
    if (record.have === record.want || record.stray) this.#dirty.delete(record)
    else this.#dirty.add(record)
    if (record.have === null && record.want === null) this.#records.delete(record.name)
  }
}

function newRecord({ name, rank, owner }: Pick<ChainChange, 'name' | 'rank' | 'owner'>): ChainRecord {
  return { name, asked: null, want: null, have: null, rank, owner, printed: null, stray: false }
}

const GOTO = /(?:^| )-g (podf-\S+)$/

export function sameRules(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((rule, index) => rule === b[index]))
}
