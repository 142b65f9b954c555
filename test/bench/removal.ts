import type { AppliedLine } from './bench-agent.ts'
import { policyKey } from './bench-world.ts'
import { atMost } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { kernelPicture, restoreBetween } from './kernel-copy.ts'
import { besideFloor } from './samples.ts'
import type { Side } from './side.ts'

const GRACE_MS = 40

/** B13: all policies go at once; until the last of their sets has gone too. Takes the world apart. */
export const removal: Bench = async (ground, say) => {
  const side = await ground.w1()
  const agent = await side.agent()
  const floor = await side.floor()
  const before = await kernelPicture(side.node)
  say('B13 1 000 policies removed at W1')
  const names = Array.from({ length: side.world.policies }, (_, index) => policyKey(index))
  const left = new Set(await setNames(side))
  const from = agent.applied.length
  const began = performance.now()
  const revision = await side.write(names.map(key => ({ key, value: null })))
  const chains = (await agent.enforced(revision)) - began
  let sets = left.size
  const deadline = performance.now() + 60_000
  while (sets > 3 && performance.now() < deadline) {
    sets = (await setNames(side)).length
    await rest(10)
  }
  const all = performance.now() - began
  const after = await kernelPicture(side.node)
  const gone = [...left].filter(name => !after.sets.includes(name))
  await floor.learn('remove', restoreBetween(before, after))
  await floor.learn('destroy', { ipset: gone.map(name => `destroy ${name}\n`).join('') })
  const removed = await floor.time('remove')
  // No tool destroys a set sooner: the kernel holds it for its grace period.
  await rest(GRACE_MS)
  const bare = removed + GRACE_MS + (await floor.time('destroy'))
  return [
    {
      bench: 'B13',
      what: `${names.length} policies removed, their ${gone.length} sets included`,
      world: 'W1',
      backend: ground.backend,
      n: 1,
      numbers: {
        ...besideFloor([all], [bare]),
        chains_ms: chains,
        sets_left: sets,
        ...counted(agent.applied.slice(from)),
      },
      targets: [atMost(all, 1000, '<= 1 s with their sets'), atMost(sets, 3, 'no set is left')],
    },
  ]
}

function counted(lines: readonly AppliedLine[]): Record<string, number> {
  return { applies: lines.length, transactions: lines.reduce((sum, line) => sum + line.transactions, 0) }
}

/** Our sets, without the two for cuts and the one that acknowledges. */
async function setNames(side: Side): Promise<string[]> {
  const list = (await side.node.run(['ipset', 'list', '-n'])).stdout
  return list.split('\n').filter(name => /^podf-/.test(name))
}
