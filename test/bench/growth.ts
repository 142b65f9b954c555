import { type BenchWorld, policyKey, policyValue } from './bench-world.ts'
import { atMost, type Figure } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { cpuMs } from './process-figures.ts'
import { median, quantile } from './samples.ts'
import { Side } from './side.ts'

const SMALL: BenchWorld = { name: 'G', local: 100, cluster: 1000, policies: 100 }
/** Some 50 000 IPv4 rules that the edit does not touch. */
const RULES: BenchWorld = { ...SMALL, name: 'G50kR', policies: 4600 }
const PODS: BenchWorld = { ...SMALL, name: 'G100kE', cluster: 100_000 }

const ROUNDS = 12
const EDITS = 20
const EDITED = 50

interface Player {
  readonly side: Side
  /** CPU time of the agent's own process for one edit, a median for each round. */
  readonly cpu: number[]
  readonly ms: number[]
}

/**
 * B9: what one policy edit costs the agent's own process, kernel tools left out, in three worlds in turn: a
 * small one, one with 50 times its rules, one with 100 times its pods. The small one is the floor.
 */
export const growth: Bench = async (ground, say) => {
  const players: Player[] = []
  const worlds = [SMALL, RULES, PODS]
  const opened: Side[] = []
  try {
    for (const [index, world] of worlds.entries()) {
      const node = `g${index}`
      say(`B9 a world of ${world.policies} policies and ${world.cluster} endpoints`)
      const side = await Side.open(ground.processes, ground.lab, world, {
        node,
        floorNode: node,
        port: 2579 + 100 * index,
      })
      opened.push(side)
      await side.agent()
      players.push({ side, cpu: [], ms: [] })
    }
    say('B9 edits in all three in turn')
    await rest(3000)
    for (let round = 0; round < ROUNDS; round++) for (const player of players) await play(player)
  } finally {
    for (const side of opened) await side.close()
  }
  const [small, ...large] = players
  return large.map(({ side, cpu, ms }): Figure => {
    const numbers = {
      cpu_p50_ms: median(cpu),
      cpu_p99_ms: quantile(cpu, 0.99),
      floor_cpu_p50_ms: median(small!.cpu),
      ratio: median(cpu) / median(small!.cpu),
      p50_ms: median(ms),
      floor_p50_ms: median(small!.ms),
    }
    return {
      bench: 'B9',
      what:
        side.world === RULES
          ? "agent's own CPU for an edit, 50k unrelated rules over 1k"
          : "agent's own CPU for an edit, 100k endpoints over 1k",
      world: side.world.name,
      backend: ground.backend,
      n: ROUNDS * EDITS,
      numbers,
      targets: [atMost(numbers.ratio, 1.1, 'flat, <= 1.1x')],
    }
  })
}

async function play({ side, cpu, ms }: Player): Promise<void> {
  const { pid } = await side.agent()
  const before = cpuMs(pid)
  for (let turn = 0; turn < EDITS; turn++) {
    const value = policyValue(side.world, EDITED, turn % 2 === 0 ? 8001 : 8000)
    ms.push(await side.time([{ key: policyKey(EDITED), value }]))
    await rest(5)
  }
  cpu.push((cpuMs(pid) - before) / EDITS)
}
