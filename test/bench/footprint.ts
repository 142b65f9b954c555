import { atMost, type Figure } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { rssByName, rssMb, treeCpuMs } from './process-figures.ts'

/** Longer than the agent takes to give back what its start needed. */
const SETTLE_MS = 20_000
/** What V8 makes of that is over after so long. */
const QUIET_MS = 20_000
const IDLE_MS = 32_000
/** What legacy is judged at. */
const REFRESH_S = 180
const SHORT_REFRESH_S = 6

/**
 * B7 and the idle part of B8. The floor of the memory is the bare agent with its tools; of the idle CPU time
 * there is none but zero. What a refresh costs is measured with a short interval and then spread over 180 s.
 */
export const footprint: Bench = async (ground, say) => {
  const { backend } = ground
  const side = await ground.w1()
  const floor = await side.floor()
  await side.stopAgent()
  say('B7 memory and B8 idle CPU at W1')
  let agent = side.start()
  await agent.enforced(side.revision)
  await rest(SETTLE_MS)
  const memory = rssByName(agent.pid)
  const monitor = memory.get('nft') ?? 0
  const total = [...memory.values()].reduce((sum, mb) => sum + mb, 0) - monitor
  const peak = rssMb(agent.pid, true)
  const bare = [...rssByName(floor.pid).values()].reduce((sum, mb) => sum + mb, 0)

  await rest(QUIET_MS)
  const idle = await busyShare(agent.pid, IDLE_MS)
  await side.stopAgent()
  agent = side.start({ flags: ['--refresh-interval', `${SHORT_REFRESH_S}s`] })
  await agent.enforced(side.revision)
  await rest(SETTLE_MS + QUIET_MS)
  const refreshing = await busyShare(agent.pid, 3 * SHORT_REFRESH_S * 1000)
  const refreshMs = Math.max(0, refreshing.ms - (idle.ms * (3 * SHORT_REFRESH_S * 1000)) / IDLE_MS) / 3
  await side.stopAgent()
  await side.agent()
  const share = idle.percent + (100 * refreshMs) / (REFRESH_S * 1000)
  const figures: Figure[] = [
    {
      bench: 'B7',
      what: 'resident memory of the agent with its helpers',
      world: 'W1',
      backend,
      n: 1,
      numbers: {
        rss_mb: total,
        floor_rss_mb: bare,
        ratio: total / bare,
        node_mb: memory.get('node') ?? 0,
        node_peak_mb: peak,
        restore_mb: [...memory].reduce((sum, [name, mb]) => sum + (name.includes('tables') ? mb : 0), 0),
        monitor_mb: monitor,
      },
      targets: [atMost(total, 120, '<= 120 MB with helpers, the drift monitor beside it')],
    },
    {
      bench: 'B8',
      what: `idle CPU of the agent and its helpers, a refresh every ${REFRESH_S} s included`,
      world: 'W1',
      backend,
      n: 1,
      numbers: { percent: share, without_refresh_percent: idle.percent, refresh_cpu_ms: refreshMs },
      targets: [atMost(share, 0.2, '<= 0.2 % of a core')],
    },
  ]
  return figures
}

/** CPU time while nothing happens. */
async function busyShare(pid: number, ms: number): Promise<{ ms: number; percent: number }> {
  const [before, began] = [treeCpuMs(pid), performance.now()]
  await rest(ms)
  const spent = treeCpuMs(pid) - before
  return { ms: spent, percent: (100 * spent) / (performance.now() - began) }
}
