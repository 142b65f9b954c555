import type { Clock } from './clock.ts'

export interface TableWatchOptions {
  readonly clock: Clock
  /** Reads the filter tables and repairs what others have changed; false when it could not. Never rejects. */
  readonly look: () => Promise<boolean>
}

const SHORTEST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 5000
/** A look should take no more than a hundredth of the time: on legacy each one copies the whole table. */
const PAUSE_PER_LOOK = 100

/**
 * Looks at the filter tables on iptables-legacy, where the kernel tells nobody of foreign changes: a jump that another
 * has put before ours may accept what policy denies, as kube-proxy's does when it starts, and the refresh timer is
 * minutes away. The longer a look takes, the longer the pause after it, though never longer than 5 s; so long is it after
 * a look that failed.
 */
export class TableWatch {
  readonly #options: TableWatchOptions
  #cancel: () => void = () => {}
  #stopped = false

  constructor(options: TableWatchOptions) {
    this.#options = options
  }

  /** Looks for the first time in a second. */
  start(): void {
    this.#next(SHORTEST_PAUSE_MS)
  }

  /** No look begins any more. */
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #next(pause: number): void {
    if (this.#stopped) return
    const { clock, look } = this.#options
    this.#cancel = clock.after(pause, async () => {
      const began = clock.now()
      const due = (await look()) ? (clock.now() - began) * PAUSE_PER_LOOK : LONGEST_PAUSE_MS
      this.#next(Math.min(Math.max(due, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS))
    })
  }
}
