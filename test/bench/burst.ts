import { existsSync, readFileSync, rmSync } from 'node:fs'
import { clusterKey, clusterValue } from './bench-world.ts'
import { atMost } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { besideFloor } from './samples.ts'
import type { Side } from './side.ts'

const CHANGES = 1000
const BURSTS = 3
const PRELOAD = new URL('loop-stalls.js', import.meta.url).href

/**
 * B4: 1 000 endpoints elsewhere change their selector within a second. The floor: the bare agent gets as many
 * events of one key and writes as many set members; what it needs after the last is the floor.
 */
export const burst: Bench = async (ground, say) => {
  const side = await ground.w1()
  const floor = await side.floor()
  await floor.learn('one', { ipset: 'add bench-ack 1.1.1.1\ndel bench-ack 1.1.1.1\n' })
  await side.stopAgent()
  const agent = side.start({ preload: PRELOAD })
  await agent.enforced(side.revision)
  await rest(2000)
  say('B4 bursts of 1 000 pod changes at W1')
  const [after, bare, transactions, stalls, spread]: number[][] = [[], [], [], [], []]
  for (let turn = 0; turn < BURSTS; turn++) {
    await rest(1500)
    await longestStall(agent.pid)
    const from = agent.applied.length
    const began = performance.now()
    const sent: Promise<unknown>[] = []
    for (let index = 0; index < CHANGES; index++) {
      // Each moves to another selector's set, and back in the next burst.
      const app = turn % 2 === 0 ? (index + 500) % 1000 : index
      sent.push(put(side, clusterKey(index), clusterValue(index, app)))
      const ahead = index - (performance.now() - began)
      if (ahead > 1) await rest(ahead)
    }
    await Promise.all(sent)
    const last = performance.now()
    spread!.push(last - began)
    // Not as it was, or there would be nothing to enforce.
    const revision = await side.write([
      { key: clusterKey(CHANGES), value: clusterValue(CHANGES, 1 + (turn % 2)) },
    ])
    after!.push(Math.max(0, (await agent.enforced(revision)) - last))
    await rest(300)
    stalls!.push(await longestStall(agent.pid))
    transactions!.push(agent.applied.slice(from).reduce((sum, line) => sum + line.transactions, 0))
    bare!.push(await floor.time('one'))
  }
  await side.stopAgent()
  await side.agent()
  const numbers = {
    ...besideFloor(after!, bare!),
    transactions_max: Math.max(...transactions!),
    stall_max_ms: Math.max(...stalls!),
    burst_ms: Math.max(...spread!),
  }
  return [
    {
      bench: 'B4',
      what: '1 000 pod changes in a second, last change to converged',
      world: 'W1',
      backend: ground.backend,
      n: BURSTS,
      numbers,
      targets: [
        atMost(numbers.max_ms, 250, 'converged <= 250 ms after the last'),
        atMost(numbers.transactions_max, 60, '<= 60 transactions'),
        atMost(numbers.stall_max_ms, 50, 'no event-loop stall over 50 ms'),
      ],
    },
  ]
}

function put(side: Side, key: string, value: string): Promise<unknown> {
  return side.etcd.store.commit({ puts: [{ key, value }] })
}

/** Asks the preloaded module, and takes its file away again. */
async function longestStall(pid: number): Promise<number> {
  const file = `/run/podfence-lab/stalls-${pid}`
  process.kill(pid, 'SIGUSR2')
  for (let tries = 0; tries < 200; tries++) {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    if (text.endsWith('\n')) {
      rmSync(file)
      return Number(text)
    }
    await rest(5)
  }
  throw new Error('the agent does not tell of its stalls')
}
