import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface EventLoopLag {
  /** The longest stall in milliseconds since this was last asked. */
  takeMax(): number
  close(): void
}

/**
 * Watches for stalls of the event loop from native code. It looks five times a second: long stalls are never
 * missed, short ones now and then; looking at every 10 ms would cost an idle agent its CPU budget.
 */
export function eventLoopLag(resolution = 200): EventLoopLag {
  const histogram = monitorEventLoopDelay({ resolution })
  histogram.enable()
  return {
    takeMax() {
      // What is measured is the time between two samples, so the pause between them is taken off.
      const stall = histogram.max / 1e6 - resolution
      histogram.reset()
      return Math.max(0, stall)
    },
    close: () => void histogram.disable(),
  }
}
