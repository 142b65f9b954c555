import { policyKey, policyValue } from './bench-world.ts'
import { atMost } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { kernelPicture } from './kernel-copy.ts'
import { besideFloor, quantile } from './samples.ts'

const HELD_MS = 3000
const EDITS = 50

/** B12: another program holds the xtables lock while policies are edited; afterwards all goes through together. Legacy only. */
export const lock: Bench = async (ground, say) => {
  const side = await ground.w1()
  const agent = await side.agent()
  const floor = await side.floor()
  await floor.learn('nothing', { restore4: '*filter\nCOMMIT\n' })
  say(`B12 the xtables lock held for ${HELD_MS} ms`)
  const file = side.node.env.XTABLES_LOCKFILE!
  const holder = ground.processes.start('flock', [file, 'sleep', String(HELD_MS / 1000)])
  const began = performance.now()
  await rest(200)
  const from = agent.applied.length
  let revision = 0n
  for (let index = 0; index < EDITS; index++) {
    revision = await side.write([{ key: policyKey(index), value: policyValue(side.world, index, 8500) }])
    await rest(20)
  }
  const written = performance.now() - began
  await holder.ended
  const released = performance.now()
  const after = (await agent.enforced(revision)) - released
  const lines = agent.applied.slice(from)
  const bare = [await floor.time('nothing')]
  const there = (await kernelPicture(side.node)).tables[4].match(/--dport 8500 /g)?.length ?? 0
  await side.time(
    Array.from({ length: EDITS }, (_, index) => ({
      key: policyKey(index),
      value: policyValue(side.world, index),
    })),
  )
  return [
    {
      bench: 'B12',
      what: `${EDITS} edits while another holds the lock for ${HELD_MS / 1000} s, release to enforced`,
      world: 'W1',
      backend: ground.backend,
      n: 1,
      numbers: {
        ...besideFloor([after], bare),
        applies: lines.length,
        transactions: lines.reduce((sum, line) => sum + line.transactions, 0),
        edits_lost: EDITS - there,
        edits_took_ms: quantile([written], 0.5),
      },
      targets: [
        atMost(EDITS - there, 0, 'no lost update'),
        atMost(lines.length, 2, 'the queue drains in one apply after the one that waited'),
      ],
    },
  ]
}
