import type { Clock } from './clock.ts'

/**
 * Tells whether work that has begun still gets on. It asks for progress, not for a total time: a big
 * apply may take long, one that stands still may not.
 */
export class Watchdog {
  readonly #clock: Clock
  readonly #limit: number
  readonly #work = new Map<string, number>()

  /** `limit`: ms without progress after which work counts as stuck. */
  constructor(clock: Clock, limit: number) {
    this.#clock = clock
    this.#limit = limit
  }

  /** Work named `name` begins or gets on. */
  progress(name: string): void {
    this.#work.set(name, this.#clock.now())
  }

  ended(name: string): void {
    this.#work.delete(name)
  }

  /** What stands still, as a sentence; null when nothing does. */
  stuck(): string | null {
    const now = this.#clock.now()
    for (const [name, last] of this.#work)
      if (now - last > this.#limit)
        return `${name} has made no progress for ${Math.floor((now - last) / 1000)} s`
    return null
  }
}
