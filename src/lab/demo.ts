import type { Backend } from '../kernel/backend.ts'
import type { Processes } from '../kernel/process.ts'
import {
  DEMO_CHANGE,
  DEMO_PODS,
  DEMO_PORTS,
  type DemoPod,
  demoProfile,
  promised,
  wholeName,
} from './demo-pods.ts'
import { type MatrixResult, probeMatrix } from './matrix.ts'
import type { LabPod } from './pod.ts'
import { openStage, type Stage } from './stage.ts'
import type { WorldWords } from './world.ts'

/** Where the demo tells its story. */
export interface DemoTeller {
  heading(text: string): void
  say(text: string): void
  /** What is being done while people wait. */
  progress(text: string): void
  /** The running agent's own words on one packet: `podfence explain SOURCE DESTINATION --port tcp/PORT`. */
  explain(runDir: string, source: string, destination: string, port: number): Promise<string>
}

interface Demo {
  readonly stage: Stage
  readonly tell: DemoTeller
  readonly pods: ReadonlyMap<string, LabPod>
}

/**
 * Plays the demo inside the sandbox: one node, pods of three namespaces, an etcd, the real agent, real packets.
 * Resolves with how many pairs were not as the documents promise. Everything is removed again, also on failure.
 */
export async function playDemo(processes: Processes, backend: Backend, tell: DemoTeller): Promise<number> {
  tell.progress('a node, seven pods, etcd and the agent start')
  const stage = await openStage({ backend, nodes: ['node'] }, processes)
  try {
    return await play(stage, tell)
  } finally {
    await stage.close()
  }
}

async function play(stage: Stage, tell: DemoTeller): Promise<number> {
  const node = stage.lab.node('node')
  const made = await stage.lab.addPods(
    DEMO_PODS.map(pod => ({ name: `${pod.namespace}.${pod.name}`, node, kind: 'routed' as const })),
  )
  const pods = new Map(DEMO_PODS.map((pod, index) => [wholeName(pod), made[index]!]))
  const demo: Demo = { stage, tell, pods }
  for (const pod of made)
    for (const port of DEMO_PORTS) await stage.lab.probe.listen(pod, { protocol: 'tcp', port })

  tell.heading('The pods, and what they ask for')
  for (const pod of DEMO_PODS) tell.say(podLine(pod))
  tell.progress('policy goes to etcd, rules to the kernel')
  await stage.show(world(demo, DEMO_PODS))

  tell.heading('Who reaches whom: what the documents promise, and what packets do')
  const before = await matrices(demo, false)
  let wrong = report(demo, before)

  tell.heading('One annotation changes while everything runs')
  const changed = DEMO_PODS.map(pod =>
    wholeName(pod) === DEMO_CHANGE.pod ? { ...pod, annotation: DEMO_CHANGE.annotation } : pod,
  )
  tell.say(`${DEMO_CHANGE.pod}:\n  - ${DEMO_PODS[1]!.annotation}\n  + ${DEMO_CHANGE.annotation}`)
  const ms = await stage.show(world(demo, changed))
  tell.say(
    `written, watched, computed, rendered and acknowledged by the kernel in ${ms.toFixed(0)} ms; what differs:`,
  )
  const after = await matrices(demo, true)
  for (const [index, result] of after.entries())
    tell.say(differences(before[index]!, result, DEMO_PORTS[index]!))
  wrong += after.reduce((sum, result) => sum + result.wrong.length, 0)

  await explainOne(demo)
  await showChain(demo)
  tell.heading(wrong === 0 ? 'Every packet did what the documents promise.' : `${wrong} pairs were wrong.`)
  return wrong
}

function podLine(pod: DemoPod): string {
  const labels = Object.entries(pod.labels).map(([key, value]) => `${key}=${value}`)
  const policy =
    pod.namespace === 'kube-system'
      ? 'open to all'
      : (pod.annotation ?? 'no annotation: its own namespace only')
  return `  ${wholeName(pod).padEnd(20)}${labels.join(' ').padEnd(30)}${policy}`
}

function world({ pods }: Demo, words: readonly DemoPod[]): WorldWords {
  const profileId = (pod: DemoPod) => wholeName(pod).replace('/', '_')
  return {
    endpoints: words.map(pod => ({
      pod: pods.get(wholeName(pod))!,
      profiles: [profileId(pod)],
      labels: pod.labels,
    })),
    profiles: Object.fromEntries(words.map(pod => [profileId(pod), demoProfile(pod)])),
  }
}

function matrices({ stage, pods }: Demo, changed: boolean): Promise<MatrixResult[]> {
  const names = new Map([...pods].map(([name, pod]) => [pod.name, name]))
  const all = [...pods.values()]
  return Promise.all(
    DEMO_PORTS.map(port =>
      probeMatrix(stage.lab.probe, {
        rows: all,
        columns: all,
        family: 4,
        protocol: 'tcp',
        port,
        expected: (from, to) => promised(names.get(from.name)!, names.get(to.name)!, port, changed),
      }),
    ),
  )
}

function report({ tell }: Demo, results: readonly MatrixResult[]): number {
  for (const [index, result] of results.entries()) tell.say(`TCP port ${DEMO_PORTS[index]}\n${result.text}\n`)
  return results.reduce((sum, { wrong }) => sum + wrong.length, 0)
}

function differences(before: MatrixResult, after: MatrixResult, port: number): string {
  const old = new Map(before.cells.map(cell => [`${cell.from} ${cell.to}`, cell.observed]))
  const lines = after.cells
    .filter(({ from, to, observed }) => old.get(`${from} ${to}`) !== observed)
    .map(({ from, to, observed, expected }) => {
      const word = observed ? 'now passes' : 'is now dropped'
      return `  ${from} -> ${to}, port ${port}: ${word}${observed === expected ? '' : ' (WRONG)'}`
    })
  return lines.length > 0 ? lines.join('\n') : `  port ${port}: nothing`
}

async function explainOne({ stage, tell, pods }: Demo): Promise<void> {
  const [from, to] = [pods.get('default/batch')!, pods.get('production/db')!]
  tell.heading(`Why default/batch does not reach production/db on port 4001`)
  tell.say(await tell.explain(stage.lab.node('node').runDirectory, from.address4!, to.address4!, 4001))
}

async function showChain({ stage, tell, pods }: Demo): Promise<void> {
  const db = pods.get('production/db')!
  tell.heading('The rules of production/db, as iptables has them')
  const rules = (await stage.lab.node('node').iptables(4, ['-S'])).split('\n')
  // Dispatch names the chain; the chain names the lists that it asks.
  const chain = rules
    .find(rule => rule.startsWith('-A podf-to') && rule.includes(`-d ${db.address4}/32`))
    ?.split(' ')
    .at(-1)
  const own = rules.filter(rule => rule.startsWith(`-A ${chain} `))
  const lists = own.flatMap(rule => /-j (podf-in-\S+)/.exec(rule)?.[1] ?? [])
  const shown = rules.filter(rule => [chain, ...lists].some(name => rule.startsWith(`-A ${name} `)))
  tell.say(shown.map(rule => `  ${rule}`).join('\n'))
}
