import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyChange } from '../../source/event.ts'
import type { Pace } from '../../source/pace.ts'
import { ConditionFailed, type Store, type StoreWrite } from '../../source/store.ts'
import { unlessAborted } from '../../source/unless-aborted.ts'
import { READY_KEY } from '../../source/v1-tree.ts'
import type { Clock } from '../clock.ts'
import { Expected } from './expected.ts'
import type { Fence } from './fence.ts'
import { HeldTree } from './held-tree.ts'
import { type PlannedChange, planUnit, type UnitChange } from './plan.ts'
import { fitting, notAfter, transactionsOf } from './transactions.ts'
import { KeysByUnit, type Unit, unitOf } from './unit.ts'

export interface Written {
  readonly units: number
  readonly keys: number
  readonly revision: bigint
  readonly ms: number
}

export interface TreeWriterOptions {
  readonly store: Store
  readonly fence: Pick<Fence, 'take' | 'stands' | 'condition'>
  /** The revisions that EtcdSource keeps. */
  readonly revisions: ReadonlyMap<string, bigint>
  readonly clock: Clock
  readonly pace: Pace
  /** How long a pod that the CNI plugin has attached may take to be told of by Kubernetes. */
  readonly patienceMs?: number
  /** Asks for the store's whole tree anew. */
  readonly relist: (reason: string) => void
  readonly hears: TreeWriterEvents
}

/** What the writer tells of its work. */
export interface TreeWriterEvents {
  wrote(written: Written): void
  /** Somebody else changed what is the controller's, and it is put right. */
  repairing(units: readonly Unit[]): void
  /** Somebody else was faster with some key; that is read anew. */
  conflict(): void
  /** Null: it can be written again. */
  trouble(error: Error | null): void
  /** Even with its rules left out. */
  tooLarge(unit: Unit): void
  /** Everything is written, and the Ready key stands. */
  complete(): void
}

const PATIENCE_MS = 30_000
/** Steps with a conflict in a row without a rest; more than these is no chance any more. */
const CONFLICTS = 3

/**
 * Makes the store's tree the one that Kubernetes wants, and keeps it so. Both trees are told of all the time; written is only
 * while `run` runs. What is unknown of either is not acted on: nothing is written before both are complete.
 */
export class TreeWriter {
  readonly #options: TreeWriterOptions
  readonly #wanted = new KeysByUnit<string>()
  readonly #held: HeldTree
  readonly #expected: Expected
  #wantedKnown = false
  #heldKnown = false
  #running = false
  /** Units that may differ. */
  #dirty = new Set<Unit>()
  /** Those of them that must be right before the tree counts as complete. */
  readonly #owed = new Set<Unit>()
  /** Those whose last transaction met somebody else's: they go alone now. */
  readonly #contested = new Set<Unit>()
  /** Steps with a conflict, one after the other. */
  #conflicts = 0
  /** Made dirty by somebody else in the store. */
  readonly #touched = new Set<Unit>()
  #wake: () => void = () => {}

  constructor(options: TreeWriterOptions) {
    this.#options = options
    this.#held = new HeldTree(options.revisions)
    this.#expected = new Expected(options.clock, options.patienceMs ?? PATIENCE_MS, unit =>
      this.#mark([unit]),
    )
  }

  /** The complete tree that Kubernetes wants. */
  want(tree: ReadonlyMap<string, string>): void {
    this.#wanted.clear()
    for (const [key, value] of tree) {
      const unit = unitOf(key)
      if (unit !== null) this.#wanted.set(unit, key, value)
    }
    this.#wantedKnown = true
    this.#markAll()
  }

  /** What Kubernetes wants from now on. */
  wantChanges(changes: readonly KeyChange[]): void {
    const units = new Set<Unit>()
    for (const { key, value } of changes) {
      const unit = unitOf(key)
      if (unit === null) continue
      if (value === null) this.#wanted.delete(unit, key)
      else this.#wanted.set(unit, key, value)
      units.add(unit)
    }
    this.#mark(units)
  }

  /** The store's complete tree. */
  hold(entries: ReadonlyMap<string, string>): void {
    this.#held.snapshot(entries)
    this.#heldKnown = true
    this.#markAll()
  }

  /** What the watch tells of the store, our own writes among it. */
  holdChanges(changes: readonly KeyChange[]): void {
    const wasReady = this.#held.ready
    const units = this.#held.change(changes)
    if (this.#running) for (const unit of units) this.#touched.add(unit)
    this.#mark(units)
    if (!wasReady || this.#held.ready) return
    // Who took it away may have done more than we were told.
    this.#heldKnown = false
    this.#options.relist(`${READY_KEY} was taken away`)
  }

  /** Writes until `signal` aborts; call it only while the lease is ours. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { pace, hears, fence } = this.#options
    this.#running = true
    this.#markAll()
    let failures = 0
    let fenced = false
    while (!signal.aborted) {
      try {
        if (!fenced) await unlessAborted(fence.take(signal), signal)
        fenced = true
        if (failures > 0) hears.trouble(null)
        failures = 0
        if (this.#due) fenced = await this.#step(signal)
        else await this.#rest(signal)
      } catch (error) {
        if (signal.aborted) break
        failures += 1
        fenced = false
        if (failures === 1) hears.trouble(error as Error)
        await pace.wait(failures, signal)
      }
    }
    this.#running = false
    this.#expected.clear()
    for (const units of [this.#dirty, this.#owed, this.#contested, this.#touched]) units.clear()
  }

  get #due(): boolean {
    if (!this.#wantedKnown || !this.#heldKnown) return false
    return this.#dirty.size > 0 || (this.#owed.size === 0 && !this.#held.ready)
  }

  #rest(signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        signal.removeEventListener('abort', end)
        this.#wake = () => {}
        resolve()
      }
      signal.addEventListener('abort', end)
      this.#wake = end
      if (signal.aborted) end()
    })
  }

  #mark(units: Iterable<Unit>): void {
    if (!this.#running) return
    for (const unit of units) this.#dirty.add(unit)
    this.#wake()
  }

  #markAll(): void {
    if (!this.#running || !this.#wantedKnown || !this.#heldKnown) return
    for (const units of [this.#wanted.units(), this.#held.units()])
      for (const unit of units) {
        this.#dirty.add(unit)
        this.#owed.add(unit)
      }
    this.#wake()
  }

  /** Writes what differs now. False: our fence is gone. What fails stays to be done, and the failure is thrown. */
  async #step(signal: AbortSignal): Promise<boolean> {
    const units = this.#dirty
    this.#dirty = new Set()
    let rest = transactionsOf(this.#plan(units), this.#contested)
    let conflict = false
    try {
      while (rest.length > 0) {
        const [transaction] = rest as [UnitChange[]]
        if (await this.#commit(transaction, signal)) {
          rest.shift()
          continue
        }
        if (!(await this.#options.fence.stands())) return false
        await this.#readAgain(transaction, signal)
        conflict = true
        rest = this.#without(transaction, rest.slice(1).flat())
      }
    } finally {
      for (const { unit } of rest.flat()) this.#dirty.add(unit)
      for (const unit of units) if (!this.#dirty.has(unit)) this.#settled(unit)
    }
    if (this.#owed.size === 0 && this.#heldKnown && !(await this.#complete(signal))) return false
    this.#conflicts = conflict ? this.#conflicts + 1 : 0
    if (this.#conflicts > CONFLICTS) {
      this.#conflicts = 0
      await sleep(100, undefined, { signal })
    }
    return true
  }

  /**
   * What of the rest is written in this step although `failed` was not. A pod must not come before a policy that closes it,
   * so whatever has a later turn waits for the next step, and stays behind there.
   */
  #without(failed: readonly UnitChange[], rest: readonly UnitChange[]): UnitChange[][] {
    const next = notAfter(failed, rest)
    const now = new Set(next)
    for (const each of rest) if (!now.has(each)) this.#dirty.add(each.unit)
    return transactionsOf(next, this.#contested)
  }

  #settled(unit: Unit): void {
    this.#contested.delete(unit)
    this.#owed.delete(unit)
  }

  #plan(units: ReadonlySet<Unit>): UnitChange[] {
    const { hears } = this.#options
    const plans: UnitChange[] = []
    const repaired: Unit[] = []
    for (const unit of units) {
      const held = this.#held.of(unit)
      const plan = planUnit(unit, this.#wanted.of(unit), held, (key, there) =>
        this.#expected.isOverdue(unit, key, there),
      )
      this.#expected.note(unit, plan.expected, held)
      const touched = this.#touched.delete(unit)
      if (plan.changes.length === 0) continue
      if (touched && !plan.takesOver) repaired.push(unit)
      const fit = fitting(plan)
      if (fit === null || fit !== plan) hears.tooLarge(unit)
      if (fit !== null) plans.push(fit)
    }
    if (repaired.length > 0) hears.repairing(repaired)
    return plans
  }

  /** One transaction; false when some key, or the fence, is not as it was seen. */
  async #commit(transaction: readonly UnitChange[], signal: AbortSignal): Promise<boolean> {
    const began = this.#options.clock.now()
    const changes = transaction.flatMap(unit => unit.changes)
    const revision = await this.#write(changes, signal)
    if (revision === null) return false
    this.#held.wrote(changes, revision)
    const ms = this.#options.clock.now() - began
    this.#options.hears.wrote({ units: transaction.length, keys: changes.length, revision, ms })
    return true
  }

  /** The last of all: the tree is complete. False: our fence is gone. */
  async #complete(signal: AbortSignal): Promise<boolean> {
    if (!this.#held.ready) {
      const ready = [{ key: READY_KEY, value: 'true', modRevision: this.#held.revisionOf(READY_KEY) }]
      const revision = await this.#write(ready, signal)
      if (revision === null) {
        const { store, fence } = this.#options
        this.#held.read(READY_KEY, (await store.get(READY_KEY)).entry)
        return await fence.stands()
      }
      this.#held.wrote(ready, revision)
    }
    this.#options.hears.complete()
    return true
  }

  async #write(changes: readonly PlannedChange[], signal: AbortSignal): Promise<bigint | null> {
    const { store, fence } = this.#options
    const write: StoreWrite = {
      conditions: [fence.condition, ...changes.map(({ key, modRevision }) => ({ key, modRevision }))],
      puts: changes.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }])),
      deletes: changes.flatMap(({ key, value }) => (value === null ? [key] : [])),
    }
    try {
      return await unlessAborted(store.commit(write), signal)
    } catch (error) {
      if (error instanceof ConditionFailed) return null
      throw error
    }
  }

  /** Somebody was faster with a key of these: what the store has now decides anew, for each unit alone. */
  async #readAgain(transaction: readonly UnitChange[], signal: AbortSignal): Promise<void> {
    const { store, hears } = this.#options
    hears.conflict()
    for (const { unit } of transaction) {
      this.#contested.add(unit)
      this.#dirty.add(unit)
    }
    const keys = transaction.flatMap(({ changes }) => changes.map(({ key }) => key))
    const answers = await unlessAborted(Promise.all(keys.map(key => store.get(key))), signal)
    answers.forEach(({ entry }, at) => {
      this.#held.read(keys[at]!, entry)
    })
  }
}
