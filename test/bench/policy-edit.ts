import { policyKey, policyValue } from './bench-world.ts'
import { atMost, type Figure } from './figure.ts'
import { type Bench, type Ground, rest } from './ground.ts'
import { kernelPicture, restoreBetween } from './kernel-copy.ts'
import { cpuByName, treeCpuMs } from './process-figures.ts'
import { besideFloor } from './samples.ts'
import type { Side } from './side.ts'

/** So long after an acknowledgement the kernel has no grace period left to wait for, as with edits by people. */
const REST_MS = 40
/** CPU time is counted over edits that come so often. */
const EVERY_MS = 60
/** The edited policy: one in the middle. */
const EDITED = 50

/** B1: one policy gets another port. B8, first part: what one edit costs in CPU time, over as many more of them. */
export const policyEdit: Bench = async (ground, say) => {
  say('B1 policy edits at W1')
  const figures = await edits(ground, await ground.w1(), 300)
  say('B1 policy edits at W0')
  const [small] = await edits(ground, await ground.w0(), 100)
  return [...figures, small!]
}

async function edits(ground: Ground, side: Side, n: number): Promise<Figure[]> {
  const { backend } = ground
  const agent = await side.agent()
  const edit = (port: number) => [{ key: policyKey(EDITED), value: policyValue(side.world, EDITED, port) }]
  const before = await kernelPicture(side.node)
  await side.time(edit(8001))
  const after = await kernelPicture(side.node)
  const floor = await side.floor()
  await floor.learn('there', restoreBetween(before, after))
  await floor.learn('back', restoreBetween(after, before))
  await floor.time('back')
  await side.time(edit(8000))

  const [ours, bare]: [number[], number[]] = [[], []]
  for (let turn = 0; turn < n; turn++) {
    await rest(REST_MS)
    ours.push(await side.time(edit(turn % 2 === 0 ? 8001 : 8000)))
    await rest(REST_MS)
    bare.push(await floor.time(turn % 2 === 0 ? 'there' : 'back'))
  }
  await rest(1200)
  const [cpu, started] = [cpuByName(agent.pid), performance.now()]
  for (let turn = 0; turn < n; turn++) {
    const next = performance.now() + EVERY_MS
    await side.time(edit(turn % 2 === 0 ? 8001 : 8000))
    await rest(next - performance.now())
  }
  const seconds = (performance.now() - started) / 1000
  await rest(1200)
  const parts = [...cpuByName(agent.pid)].map(([name, ms]) => [name, ms - (cpu.get(name) ?? 0)] as const)
  const spent = parts.reduce((sum, [, ms]) => sum + ms, 0)
  const bareCpu = treeCpuMs(floor.pid)
  for (let turn = 0; turn < n; turn++) {
    await rest(EVERY_MS)
    await floor.time(turn % 2 === 0 ? 'there' : 'back')
  }
  const spentBare = treeCpuMs(floor.pid) - bareCpu
  const numbers = besideFloor(ours, bare)
  const orientation = backend === 'nft' ? 15 : 60
  const common = { world: side.world.name, backend, n }
  return [
    {
      ...common,
      bench: 'B1',
      what: 'policy edit, put to enforced',
      numbers,
      targets: [
        atMost(numbers.ratio, 2, 'p50 <= 2x the floor'),
        atMost(numbers.p50_ms, orientation, `orientation p50 ${orientation} ms`),
      ],
    },
    {
      ...common,
      bench: 'B8',
      what: `CPU of the agent and its helpers for one edit, one every ${EVERY_MS} ms`,
      numbers: {
        cpu_ms: spent / n,
        floor_cpu_ms: spentBare / n,
        ratio: spent / spentBare,
        ...Object.fromEntries(parts.map(([name, ms]) => [`${name}_ms`, ms / n])),
        seconds,
      },
      targets: backend === 'nft' ? [atMost(spent / n, 10, '<= 10 ms on nft')] : [],
    },
  ]
}
