import type { Clock } from './clock.ts'
import { releaseMemory } from './memory.ts'

/**
 * So long after a whole list was taken in its memory is given back. Sooner V8 would keep the room for new objects, since
 * it looks at how much was allocated in the last five seconds.
 */
const RELEASE_AFTER_MS = 8000
/** The first may come when V8 still thinks of the start; the second then gives back 30 MB more. */
const RELEASES = 2

/** Gives memory back some time after a whole list was taken in, never while `busy`: what is under way would be held up. */
export class MemoryRelease {
  readonly #clock: Clock
  readonly #busy: () => boolean
  #cancel: () => void = () => {}

  constructor(clock: Clock, busy: () => boolean) {
    this.#clock = clock
    this.#busy = busy
  }

  /** A whole list was taken in. */
  soon(): void {
    this.#after(RELEASES)
  }

  cancel(): void {
    this.#cancel()
  }

  #after(times: number): void {
    this.#cancel()
    this.#cancel = this.#clock.after(RELEASE_AFTER_MS, () => {
      if (this.#busy()) return this.#after(times)
      releaseMemory()
      if (times > 1) this.#after(times - 1)
    })
  }
}
