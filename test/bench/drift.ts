import { toolName } from '../../src/kernel/backend.ts'
import { atMost, type Figure } from './figure.ts'
import { type Bench, rest } from './ground.ts'
import { kernelPicture } from './kernel-copy.ts'
import { besideFloor } from './samples.ts'
import type { Side } from './side.ts'

const INTERVAL_S = 3

/** B11: another program flushes a chain of ours, deletes our jump, empties a set; until it is as it was. */
export const drift: Bench = async (ground, say) => {
  const { backend } = ground
  const side = await ground.w1()
  const figures: Figure[] = []
  if (backend === 'nft') {
    say('B11 chains spoilt by others')
    figures.push(await chainsOnNft(side))
  }
  say(`B11 with a refresh every ${INTERVAL_S} s`)
  await side.stopAgent()
  const agent = side.start({ flags: ['--refresh-interval', `${INTERVAL_S}s`] })
  await agent.enforced(side.revision)
  const set = /^add (podf-4-\S+) /m.exec((await kernelPicture(side.node)).sets)![1]!
  const read = await timeOf(() => kernelPicture(side.node))
  const most = INTERVAL_S * 1000 + 3 * read + 500
  const spoil: Record<string, readonly string[]> = {
    'a set emptied': ['ipset', 'flush', set],
    ...(backend === 'legacy'
      ? { 'a chain flushed': [toolName(backend, 4, ''), '-w', '-F', await someChain(side)] }
      : {}),
  }
  for (const [what, command] of Object.entries(spoil)) {
    const ours: number[] = []
    for (let turn = 0; turn < 3; turn++) {
      // At different moments of the interval.
      await rest(400 + turn * 900)
      const repaired = agent.heard(isRepair)
      await side.node.run(command)
      const began = performance.now()
      ours.push((await repaired) - began)
    }
    const worst = Math.max(...ours)
    const numbers = { max_ms: worst, interval_ms: INTERVAL_S * 1000, bare_read_ms: read }
    // A refresh that has just passed the spoilt place must end before the interval begins, and the next one read.
    const target = atMost(worst, most, 'within the refresh interval and its reads')
    figures.push({ ...head(side, ours.length, what), numbers, targets: [target] })
  }
  await side.stopAgent()
  await side.agent()
  return figures
}

async function chainsOnNft(side: Side): Promise<Figure> {
  const agent = await side.agent()
  const tool = toolName('nft', 4, '')
  const chain = await someChain(side)
  const [ours, bare]: number[][] = [[], []]
  for (let turn = 0; turn < 20; turn++) {
    await rest(100)
    const repaired = agent.heard(isRepair)
    const command = turn % 2 === 0 ? ['-F', chain] : ['-D', 'FORWARD', '-j', 'podf-FORWARD']
    const rules = await side.node.run([tool, '-w', ...command]).then(() => performance.now())
    ours!.push((await repaired) - rules)
    const began = performance.now()
    const list = (await side.node.run([tool, '-w', '-S', chain])).stdout
    const input = `*filter\n:${chain} - [0:0]\n${list.replace(/^-N.*\n/m, '')}COMMIT\n`
    await side.floorNode.run([toolName('nft', 4, 'restore'), '-w', '--noflush'], {
      input,
      allowFailure: true,
    })
    bare!.push(performance.now() - began)
  }
  const numbers = besideFloor(ours!, bare!)
  const targets = [atMost(numbers.max_ms, 200, 'chains repaired <= 200 ms on nft')]
  return { ...head(side, ours!.length, 'a chain flushed, our jump deleted'), numbers, targets }
}

function head({ world, node }: Side, n: number, what: string) {
  return { bench: 'B11', what: `${what}, until repaired`, world: world.name, backend: node.backend, n }
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

function isRepair(line: string): boolean {
  return line.includes('foreign changes repaired')
}

/** A policy's chain of IPv4. */
async function someChain(side: Side): Promise<string> {
  return /^:(podf-in-\S+)/m.exec((await kernelPicture(side.node)).tables[4])![1]!
}
