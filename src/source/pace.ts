import { setTimeout as sleep } from 'node:timers/promises'

/** How fast a source tries again. Its clock and its dice are arguments, so that tests need not wait. */
export interface Pace {
  /** Waits before try number `failures` + 1; returns at once when the signal aborts. */
  wait(failures: number, signal: AbortSignal): Promise<void>
  now(): number
  /** True when what began at `began` (by `now`) held so long that its end is no repeated failure. */
  isLong(began: number): boolean
}

/** Long enough not to burden a store that comes back to a thousand agents, short enough to be back soon after it. */
const MAX_WAIT_MS = 3_000
const FIRST_WAIT_MS = 100

/** Doubles from 100 ms to 3 s, each wait shortened by up to a half at random so that agents do not come all at once. */
export const backOff: Pace = {
  async wait(failures, signal) {
    const longest = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 20))
    // An aborted wait is simply over.
    await sleep(longest * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined)
  },
  now: () => performance.now(),
  isLong: began => performance.now() - began > MAX_WAIT_MS,
}
