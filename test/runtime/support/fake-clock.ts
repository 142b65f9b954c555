import type { Clock } from '../../../src/runtime/clock.ts'

/** A clock that stands still until it is told to go on; timers run in the order of their times. */
export class FakeClock implements Clock {
  #now = 1000
  #timers: { at: number; task: () => void }[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.#now + ms, task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Runs every timer of the next `ms` milliseconds, letting promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter(other => other !== next)
      this.#now = next.at
      next.task()
      await settle()
    }
    this.#now = end
    await settle()
  }

  /** When the next timer runs, from now; null when there is none. */
  get pending(): number | null {
    const times = this.#timers.map(({ at }) => at - this.#now)
    return times.length === 0 ? null : Math.min(...times)
  }
}

/** Lets everything that waits for resolved promises go on. */
export function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
