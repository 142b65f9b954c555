import type { Clock } from '../clock.ts'
import type { HeldKey } from './held-tree.ts'
import type { Unit } from './unit.ts'

interface Wait {
  readonly modRevision: bigint
  /** Told by the timer, since a timer may come before a clock says that its time is over, and comes only once. */
  overdue: boolean
  readonly cancel: () => void
}

/**
 * Endpoints that the CNI plugin has attached before Kubernetes told of their pods. The plugin is asked for pods that are
 * there, so it is our view that is late; only an endpoint whose pod does not come in time is what a node left behind.
 */
export class Expected {
  readonly #clock: Clock
  readonly #patienceMs: number
  readonly #late: (unit: Unit) => void
  /** By unit, then by key. */
  readonly #waits = new Map<Unit, Map<string, Wait>>()

  /** `late`: the patience with an endpoint of this unit is over. */
  constructor(clock: Clock, patienceMs: number, late: (unit: Unit) => void) {
    this.#clock = clock
    this.#patienceMs = patienceMs
    this.#late = late
  }

  isOverdue(unit: Unit, key: string, { modRevision }: HeldKey): boolean {
    const wait = this.#waits.get(unit)?.get(key)
    return wait?.modRevision === modRevision && wait.overdue
  }

  /** `keys`: all of the unit that are expected now. */
  note(unit: Unit, keys: readonly string[], held: ReadonlyMap<string, HeldKey>): void {
    const before = this.#waits.get(unit)
    if (before === undefined && keys.length === 0) return
    const waits = new Map<string, Wait>()
    for (const key of keys) {
      const { modRevision } = held.get(key)!
      const known = before?.get(key)
      if (known?.modRevision === modRevision) waits.set(key, known)
      else waits.set(key, this.#begin(unit, modRevision))
    }
    for (const [key, wait] of before ?? []) if (waits.get(key) !== wait) wait.cancel()
    if (waits.size > 0) this.#waits.set(unit, waits)
    else this.#waits.delete(unit)
  }

  clear(): void {
    for (const waits of this.#waits.values()) for (const { cancel } of waits.values()) cancel()
    this.#waits.clear()
  }

  #begin(unit: Unit, modRevision: bigint): Wait {
    const wait: Wait = {
      modRevision,
      overdue: false,
      cancel: this.#clock.after(this.#patienceMs, () => {
        wait.overdue = true
        this.#late(unit)
      }),
    }
    return wait
  }
}
