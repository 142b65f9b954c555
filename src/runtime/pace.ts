import type { Clock } from './clock.ts'

export interface PaceOptions {
  /** Takes everything that waits and carries it out. A rejection means that it must be tried again. */
  readonly step: () => Promise<void>
  readonly clock: Clock
  /** Pause after the first failure in a row, in ms; doubled by each further one up to `longestPause`. */
  readonly firstPause: number
  readonly longestPause: number
  /** So many changes may follow each other at once; each such credit comes back after `every` ms. Default: any number. */
  readonly credit?: { readonly steps: number; readonly every: number }
  /** Hears each failure and how long the pause after it is. */
  readonly failed: (error: unknown, pause: number) => void
}

/**
 * Decides when to work. The first change goes at once; what arrives while a step is under way goes
 * together in the next one. After a failure the step is tried again after a pause that grows; a change
 * in that pause is not made to wait for all of it, since it may be the cure, yet never less than the first
 * pause, so that a storm of changes cannot become a storm of failures. With a `credit`, a storm of changes is
 * taken in few steps, while single changes still go at once.
 */
export class Pace {
  readonly #options: PaceOptions
  /** Set before the step's first line runs, so that a step may poke its own pace. */
  #busy = false
  #running: Promise<void> = Promise.resolve()
  #wanted = false
  #failures = 0
  #failedAt = 0
  #stopped = false
  /** Steps that may begin at once, as of `#creditAt`. */
  #credit: number
  #creditAt: number
  /** The timer that runs is for a change that waits for credit. */
  #saving = false
  #cancelTimer: () => void = () => {}

  constructor(options: PaceOptions) {
    this.#options = options
    this.#credit = options.credit?.steps ?? 0
    this.#creditAt = options.clock.now()
  }

  /** True while a step is under way. */
  get busy(): boolean {
    return this.#busy
  }

  /** Something changed. Starts a step before it returns when none is under way and none has just failed. */
  poke(): void {
    if (this.#stopped) return
    this.#wanted = true
    if (this.#busy) return
    if (this.#failures === 0) {
      this.#afford()
      return
    }
    const waited = this.#options.clock.now() - this.#failedAt
    this.#schedule(Math.max(0, this.#options.firstPause - waited))
  }

  /** No step begins any more; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer()
    await this.#running
  }

  /** Begins a step for a change, or waits for the credit. */
  #afford(): void {
    if (this.#saving) return
    const wait = this.#untilCredit()
    if (wait > 0) {
      this.#schedule(wait)
      this.#saving = true
    } else this.#begin()
  }

  #untilCredit(): number {
    const { credit, clock } = this.#options
    if (credit === undefined) return 0
    const now = clock.now()
    this.#credit = Math.min(credit.steps, this.#credit + (now - this.#creditAt) / credit.every)
    this.#creditAt = now
    return this.#credit >= 1 ? 0 : Math.ceil((1 - this.#credit) * credit.every)
  }

  #schedule(pause: number): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#options.clock.after(pause, () => this.#begin())
  }

  #begin(): void {
    this.#cancelTimer()
    this.#saving = false
    this.#untilCredit()
    this.#credit = Math.max(0, this.#credit - 1)
    this.#wanted = false
    this.#busy = true
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    const error = await this.#attempt()
    this.#busy = false
    if (this.#stopped) return
    if (error === null) {
      this.#failures = 0
      if (this.#wanted) this.#afford()
      return
    }
    const longer = this.#pauseAfterFailure()
    // What came during the failed step may be its cure: it waits for the first pause only.
    const pause = this.#wanted ? this.#options.firstPause : longer
    this.#schedule(pause)
    this.#options.failed(error, pause)
  }

  async #attempt(): Promise<Error | null> {
    try {
      await this.#options.step()
      return null
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  #pauseAfterFailure(): number {
    const { firstPause, longestPause, clock } = this.#options
    const pause = Math.min(longestPause, firstPause * 2 ** Math.min(this.#failures, 30))
    this.#failures++
    this.#failedAt = clock.now()
    return pause
  }
}
