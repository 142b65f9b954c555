/** Time as a part sees it, so that tests can hold it still. */
export interface Clock {
  /** Milliseconds that never run backwards. */
  now(): number
  /** Runs `task` once after `ms` milliseconds; the answer takes that back. */
  after(ms: number, task: () => void): () => void
}

/** The real clock. Its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
