import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * Loaded into the agent before its own code, for one bench: writes the longest stall of the event loop to
 * the file that LOOP_STALLS names, on SIGUSR2, and begins anew. It samples every 2 ms, which the agent's own
 * watch does not, since that would cost an idle agent its CPU budget.
 */
const RESOLUTION_MS = 2
const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
histogram.enable()
process.on('SIGUSR2', () => {
  const stall = Math.max(0, histogram.max / 1e6 - RESOLUTION_MS)
  histogram.reset()
  writeFileSync(`/run/podfence-lab/stalls-${process.pid}`, `${stall}\n`)
})
