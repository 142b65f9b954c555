import { FAMILIES, type Family } from '../model/values.ts'
import type { Hook, KernelDelta, Table } from '../render/kernel-delta.ts'
import { type Backend, toolName } from './backend.ts'
import { type KernelCounters, kernelCounters } from './counters.ts'
import { FamilyTables } from './family-tables.ts'
import { IpsetSession } from './ipset/session.ts'
import { type Drift, KernelBooks } from './kernel-books.ts'
import { KernelWriter } from './kernel-writer.ts'
import type { ChainPlace } from './own-names.ts'
import { readTable } from './picture.ts'
import type { Processes } from './process.ts'
import type { Applied, KernelStatus, Repaired } from './report.ts'
import { RestoreSession } from './restore-session.ts'
import { SetBook } from './set-book.ts'
import { SetSweep } from './set-sweep.ts'

export interface KernelDriverOptions {
  readonly processes: Processes
  readonly backend: Backend
  readonly hooks: readonly Hook[]
  /** The limit of members that new sets get. Default 1048576. */
  readonly maxElements?: number
  readonly counters?: KernelCounters
  /** Told before each commit what the kernel will report of it; returns how to take that back (KernelMonitor.expect). */
  readonly announce?: (family: Family, table: Table, chains: readonly string[]) => () => void
  /** A commit has waited so long (milliseconds) that another must hold the lock; `null`: it is through. */
  readonly onWaiting?: (family: Family, milliseconds: number | null) => void
  /** How long a commit may wait for the lock before KERNEL_BUSY. Default 60 s. */
  readonly busyAfterMs?: number
}

/**
 * Makes the kernel agree with the desired state: holds both, writes differences only, and never reads back
 * on the hot path. One call at a time; further calls wait. After any error that leaves doubt the kernel is
 * read whole before anything else is written. A call that throws has not lost its delta: the desired state
 * holds it, and the next call writes it.
 */
export class KernelDriver {
  readonly counters: KernelCounters
  /** For lines about our sets beside the desired state (the cut sets' members). */
  readonly ipset: IpsetSession
  readonly #options: KernelDriverOptions
  readonly #sessions: readonly RestoreSession[]
  readonly #books: KernelBooks
  readonly #writer: KernelWriter
  readonly #sweep: SetSweep
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: KernelDriverOptions) {
    this.#options = options
    this.counters = options.counters ?? kernelCounters()
    const { processes, backend, hooks, announce } = options
    const { counters } = this
    const reader = { processes, backend, counters }
    const sets = new SetBook(options.maxElements ?? 1048576)
    this.ipset = new IpsetSession({ processes, counters })
    this.#sweep = new SetSweep(sets, this.ipset, work => this.#inTurn(work))
    const sessions: RestoreSession[] = []
    const tables = FAMILIES.map(family => {
      const session = this.#session(family)
      sessions.push(session)
      const read = (table: Table) => readTable(reader, family, table)
      const announced = (table: Table, chains: readonly string[]) =>
        announce?.(family, table, chains) ?? (() => {})
      const setGoes = (name: string) => sets.isDoomed(name)
      return [
        family,
        new FamilyTables({ hooks, session, counters, read, announce: announced, setGoes }),
      ] as const
    })
    this.#sessions = sessions
    this.#books = new KernelBooks(reader, new Map(tables), sets)
    this.#writer = new KernelWriter(this.#books, this.ipset)
  }

  /** Starts the sessions and reads what is there; writes nothing. Throws PREREQUISITE_MISSING, KERNEL_UNREADABLE. */
  open(): Promise<void> {
    return this.#inTurn(async () => {
      await Promise.all([this.ipset.open(), ...this.#sessions.map(session => session.open())])
      await this.#writer.read()
    })
  }

  /** Our chains as the kernel holds them, by name: after `open` those of an earlier run. */
  heldChains(family: Family, table: Table): ReadonlyMap<string, readonly string[]> {
    return this.#books.of(family).books[table].chains()
  }

  /**
   * Before the desired state is known: where rules of an earlier run stand in a family they are kept with their jumps,
   * and in another family `gate` is put, unless it is closed by other means, which is asked for only then. Resolves with
   * the families that got the gate.
   */
  hold(
    gate: KernelDelta,
    closed: () => Promise<readonly Family[]> = async () => [],
  ): Promise<readonly Family[]> {
    return this.#inTurn(async () => {
      const { guard } = this.#writer
      const open = FAMILIES.filter(family => !this.#books.of(family).keepStanding(guard))
      const closedOtherwise = open.length > 0 ? await closed() : []
      const gated = open.filter(family => !closedOtherwise.includes(family))
      for (const change of gate.chains)
        if (gated.includes(change.family)) this.#books.of(change.family).change(change, guard)
      await this.#flush('sets first')
      return gated
    })
  }

  /** The limit of members that sets get from the next `adopt` on. */
  limitSets(maxElements: number): void {
    this.#books.sets.limit(maxElements)
  }

  /** Changes the desired state and applies the difference. Resolves when all tools have acknowledged. */
  apply(delta: KernelDelta): Promise<Applied> {
    return this.#inTurn(() => {
      for (const change of delta.sets) this.#books.sets.change(change)
      for (const change of delta.chains) this.#books.of(change.family).change(change, this.#writer.guard)
      return this.#flush('sets first')
    })
  }

  /** Makes `full` the whole desired state: writes what differs, removes what of ours is no longer wanted. */
  adopt(full: KernelDelta): Promise<Applied> {
    return this.#inTurn(() => {
      this.#books.adopted = true
      this.#books.sets.adopt(full.sets.filter(set => !set.removed))
      for (const family of FAMILIES) {
        const chains = full.chains.filter(chain => chain.family === family)
        this.#books.of(family).adopt(chains, this.#writer.guard)
      }
      return this.#flush('sets first')
    })
  }

  /** Reads everything, repairs what differs, and tries again what was refused. */
  resync(): Promise<Repaired> {
    return this.#inTurn(async () => {
      const drift = await this.#writer.read()
      this.#books.retryRefused()
      this.#writer.setTrouble = null
      return this.#repair(drift)
    })
  }

  /** Reads only these chains (ours, or parents of our jumps) and repairs what differs. For the monitor. */
  recheck(places: readonly ChainPlace[]): Promise<Repaired> {
    return this.#inTurn(async () =>
      this.#repair(this.#writer.doubt ? await this.#writer.read() : await this.#books.readSome(places)),
    )
  }

  /** Whether our jumps and the chains that decide behind them stand, in both families. */
  stands(): boolean {
    return this.#books.stand()
  }

  status(): KernelStatus {
    return {
      backend: this.#options.backend,
      spawnPerUpdate: this.#sessions.some(session => session.spawnPerUpdate),
      ...this.#books.held(),
      sets: this.#books.sets.size,
      refused: this.#books.refused(),
      short: this.#books.sets.short(),
      setTrouble: this.#writer.setTrouble,
    }
  }

  /** Resolves when no set waits any more for the kernel to let go of it (or that was given up till the next write). */
  settled(): Promise<void> {
    return this.#sweep.settled()
  }

  /** Ends the sessions; the rules stand. */
  async close(): Promise<void> {
    this.#sweep.stop()
    await this.#queue
    await Promise.all([this.ipset.close(), ...this.#sessions.map(session => session.close())])
  }

  async #flush(order: 'sets first' | 'tables first'): Promise<Applied> {
    const total = await this.#writer.flush(order)
    this.#sweep.wake()
    return { ...total, refused: this.#books.refused(), short: this.#books.sets.short() }
  }

  async #repair(drift: Drift): Promise<Repaired> {
    // Chains and hooks close what is open; a set can wait those milliseconds unless a rule needs it to exist.
    const applied = await this.#flush(this.#books.sets.needsCreation() ? 'sets first' : 'tables first')
    this.counters.repairedChains += drift.chains.length
    this.counters.repairedHooks += drift.hooks.length
    this.counters.repairedSets += drift.sets.length
    await this.#books.verify(drift.chains)
    return {
      ...applied,
      repairedChains: drift.chains,
      repairedHooks: drift.hooks,
      repairedSets: drift.sets,
    }
  }

  #session(family: Family): RestoreSession {
    const { processes, backend, onWaiting, busyAfterMs } = this.#options
    return new RestoreSession({
      processes,
      file: toolName(backend, family, 'restore'),
      counters: this.counters,
      onWaiting: milliseconds => onWaiting?.(family, milliseconds),
      ...(busyAfterMs === undefined ? {} : { busyAfterMs }),
    })
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#queue.then(work)
    this.#queue = turn.catch(() => {})
    return turn
  }
}
