import type { Test } from 'tap'
import type { Clock } from '../../../../src/runtime/clock.ts'
import { Fence } from '../../../../src/runtime/controller/fence.ts'
import { TreeWriter } from '../../../../src/runtime/controller/tree-writer.ts'
import type { Unit } from '../../../../src/runtime/controller/unit.ts'
import { EtcdSource } from '../../../../src/source/etcd-source.ts'
import type { Pace } from '../../../../src/source/pace.ts'
import type { Store } from '../../../../src/source/store.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** A pace that does not make tests wait. */
export const QUICK: Pace = {
  wait: () => new Promise(resolve => setTimeout(resolve, 1)),
  now: () => performance.now(),
  isLong: () => false,
}

/** A lease that a test gives and takes. */
export class FakeLease {
  held = true
  readonly options: { readonly identity: string }

  constructor(identity: string) {
    this.options = { identity }
  }

  async attempt(): Promise<boolean> {
    return this.held
  }
}

export interface ReplicaOptions {
  readonly store: Store
  /** Of its own, where the watch is not to go through `store`. */
  readonly watched?: Store
  readonly identity?: string
  readonly clock?: Clock
  readonly patienceMs?: number
  readonly pace?: Pace
  readonly pageSize?: number
}

/** A controller's writer with its watch of the store; Kubernetes and the lease are the test's. */
export class Replica {
  readonly writer: TreeWriter
  readonly lease: FakeLease
  readonly repaired: Unit[] = []
  readonly troubles: (string | null)[] = []
  conflicts = 0
  completions = 0
  keys = 0
  transactions = 0
  tooLarge: Unit[] = []
  private readonly end = new AbortController()
  private readonly watching: Promise<void>
  private leading = new AbortController()
  private running: Promise<void> = Promise.resolve()
  private waiting: (() => void)[] = []

  constructor(t: Test, options: ReplicaOptions) {
    const { store, watched = store, pace = QUICK } = options
    this.lease = new FakeLease(options.identity ?? 'replica')
    const revisions = new Map<string, bigint>()
    const source = new EtcdSource(watched, { revisions, pace, pageSize: options.pageSize ?? 100 })
    const told = (act: () => void) => {
      act()
      this.wake()
    }
    this.writer = new TreeWriter({
      store,
      fence: new Fence(store, this.lease as never),
      revisions,
      clock: options.clock ?? new FakeClock(),
      pace,
      patienceMs: options.patienceMs ?? 30_000,
      relist: reason => source.relist(reason),
      hears: {
        wrote: ({ keys }) =>
          told(() => {
            this.keys += keys
            this.transactions += 1
          }),
        repairing: units => told(() => this.repaired.push(...units)),
        conflict: () => told(() => (this.conflicts += 1)),
        trouble: error => told(() => this.troubles.push(error?.message ?? null)),
        tooLarge: unit => told(() => this.tooLarge.push(unit)),
        complete: () => told(() => (this.completions += 1)),
      },
    })
    this.watching = source.run(event => {
      if (event.kind === 'snapshot') this.writer.hold(event.entries)
      if (event.kind === 'changes') this.writer.holdChanges(event.changes)
      this.wake()
    }, this.end.signal)
    t.teardown(() => this.close())
  }

  /** Begins to write. */
  lead(): void {
    this.lease.held = true
    this.leading = new AbortController()
    this.running = this.writer.run(this.leading.signal)
  }

  /** Ends to write, as when the lease is lost. */
  async yield(): Promise<void> {
    this.lease.held = false
    this.leading.abort('lost')
    await this.running
  }

  /** Resolves when `condition` holds, looked at after whatever this replica does or hears. */
  async until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise<void>(resolve => this.waiting.push(resolve))
  }

  async close(): Promise<void> {
    await this.yield()
    this.end.abort()
    await this.watching
  }

  private wake(): void {
    const waiting = this.waiting
    this.waiting = []
    for (const resolve of waiting) setImmediate(resolve)
  }
}
