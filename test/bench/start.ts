import { fileURLToPath } from 'node:url'
import { ROOT } from '../../src/source/v1-tree.ts'
import { atMost, type Figure } from './figure.ts'
import { type Bench, type Ground, rest } from './ground.ts'
import { emptyKernel, kernelPicture, loadKernel } from './kernel-copy.ts'
import { cpuMs } from './process-figures.ts'
import { besideFloor, median } from './samples.ts'
import type { Side } from './side.ts'

const READER = fileURLToPath(new URL('bare-read.js', import.meta.url))
const STARTS = 5
const PORT = 7000
const RATE = 500

/** B5: exec to enforced on an empty kernel. The floor: a bare client reads the tree, then the bare tools load the same text. */
export const coldStart: Bench = async (ground, say) => {
  const side = await ground.w1()
  await side.agent()
  await side.closeFloor()
  const picture = await kernelPicture(side.node)
  say(`B5 cold starts at W1: ${await side.size()}`)
  const [ours, bare, read, load, cpu]: number[][] = [[], [], [], [], []]
  for (let turn = 0; turn < STARTS; turn++) {
    await side.stopAgent()
    await emptyKernel(side.node)
    await emptyKernel(side.floorNode)
    read!.push(await bareRead(ground, side))
    load!.push(await loadKernel(side.floorNode, picture))
    bare!.push(read!.at(-1)! + load!.at(-1)!)
    const agent = side.start()
    ours!.push((await agent.enforced(side.revision)) - agent.startedAt)
    cpu!.push(cpuMs(agent.pid))
  }
  const numbers = { ...besideFloor(ours!, bare!), cpu_ms: median(cpu!) }
  return [
    {
      bench: 'B5',
      what: 'cold start, exec to enforced on an empty kernel',
      world: 'W1',
      backend: ground.backend,
      n: STARTS,
      numbers: { ...numbers, floor_read_ms: median(read!), floor_load_ms: median(load!) },
      targets: [atMost(numbers.p50_ms, 1200, '<= 1.2 s')],
    },
  ]
}

/** B6: the agent ends (by SIGKILL every other time) and starts again, while an allowed and a denied flow go on. */
export const warmRestart: Bench = async (ground, say) => {
  const side = await ground.w1()
  await side.agent()
  const probe = ground.lab.probe
  const [client, accepting, refusing] = ground.pods
  for (const pod of [accepting!, refusing!]) await probe.listen(pod, { protocol: 'udp', port: PORT })
  const to = (address: string) =>
    ({ address, port: PORT, protocol: 'udp', rate: RATE, direction: 'up' }) as const
  const allowed = await probe.flow(client!, to(accepting!.address4!))
  const denied = await probe.flow(client!, { ...to(refusing!.address4!), unanswered: true })
  say('B6 warm restarts at W1')
  const handles = await ruleHandles(ground, side)
  const [ours, bare, cpu]: number[][] = [[], [], []]
  let rewritten = 0
  for (let turn = 0; turn < STARTS; turn++) {
    await rest(300)
    bare!.push((await bareRead(ground, side)) + (await bareReadBack(side)))
    await side.stopAgent(turn % 2 === 0 ? 'SIGKILL' : 'SIGTERM')
    const agent = side.start()
    ours!.push((await agent.enforced(side.revision)) - agent.startedAt)
    cpu!.push(cpuMs(agent.pid))
    await rest(200)
    rewritten += agent.applied.reduce((sum, line) => sum + line.rules, 0)
  }
  if ((await ruleHandles(ground, side)) !== handles) rewritten = Math.max(rewritten, 1)
  await allowed.direct('none')
  await rest(200)
  const [lost, passed] = [(await allowed.read()).up, (await denied.read()).up]
  await allowed.stop()
  await denied.stop()
  const numbers = {
    ...besideFloor(ours!, bare!),
    cpu_ms: median(cpu!),
    rules_rewritten: rewritten,
    allowed_lost: lost.sent - lost.receivedInAll,
    allowed_longest_gap_ms: lost.longestGap,
    denied_passed: passed.receivedInAll,
  }
  const figure: Figure = {
    bench: 'B6',
    what: 'warm restart, exec to enforced',
    world: 'W1',
    backend: ground.backend,
    n: STARTS,
    numbers,
    targets: [
      atMost(numbers.p50_ms, 800, '<= 0.8 s'),
      atMost(rewritten, 0, '0 rules rewritten'),
      atMost(numbers.allowed_lost, 0, '0 packets of an allowed flow lost'),
      atMost(numbers.denied_passed, 0, '0 packets of a denied flow passed'),
    ],
  }
  return [figure]
}

/** A bare client from exec to the last page, on the node that has no agent. */
async function bareRead({ processes }: Ground, side: Side): Promise<number> {
  const began = performance.now()
  const ended = await processes.run('ip', [
    ...['netns', 'exec', side.floorNode.namespace, process.execPath, READER],
    ...[side.etcd.endpoint, ROOT],
  ])
  if (ended.code !== 0) throw new Error(`the bare reader failed: ${ended.stderr}`)
  return performance.now() - began
}

/** What the bare tools need to print what the node holds. */
async function bareReadBack(side: Side): Promise<number> {
  const began = performance.now()
  await kernelPicture(side.node)
  return performance.now() - began
}

/** nft numbers each rule when it is made, so a rule written anew shows even when its text is the same. Legacy has no such mark. */
async function ruleHandles({ backend }: Ground, side: Side): Promise<string> {
  if (backend === 'legacy') return ''
  const list = await Promise.all(
    ['ip', 'ip6'].map(family => side.node.run(['nft', '-a', 'list', 'table', family, 'filter'])),
  )
  return list.flatMap(({ stdout }) => stdout.match(/# handle \d+/g) ?? []).join()
}
