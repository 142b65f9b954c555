import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { LabPod } from '../../../src/lab/pod.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import { READY_KEY } from '../../../src/source/v1-tree.ts'
import { playScenarios, type Variant } from '../../stage.ts'
import { CniCaller, type CniError, type Conflist, pluginsMissing } from './caller.ts'
import { etcdPolicy } from './etcd-policy.ts'
import { AGENT_FLAGS, asking, conflist, type Main, routeTo } from './network.ts'
import { endPod, makeNamespace, podNumbered, type StartedPod, startPods } from './started-pods.ts'

/** How many pods are started; the acceptance is at 200. */
const COUNT = Number(process.env.PODFENCE_CNI_PODS ?? 8)
const AT_ONCE = 4
const PORT = 7004

/** podfence-cni after a main plugin, with real etcd, real agents and real packets. */
export async function playChain(main: Main): Promise<void> {
  if (pluginsMissing) {
    t.test(`chained after ${main}`, { skip: pluginsMissing }, () => {})
    return
  }
  await playScenarios({ flags: AGENT_FLAGS[main] }, async (t, stage, variant) => {
    const { lab } = stage
    const node = lab.node('n1')
    const [client, far, stranger] = (await lab.addPods([
      { name: 'client', node, kind: 'routed' },
      { name: 'far', node: lab.node('n2'), kind: 'routed' },
      { name: 'stranger', node, kind: 'routed' },
    ])) as [LabPod, LabPod, LabPod]
    await routeTo(stage, node)
    await stage.show({
      endpoints: [
        ...[client, far].map(pod => ({ pod, profiles: ['friend'] })),
        { pod: stranger, profiles: ['stranger'] },
      ],
      profiles: {
        friend: { tags: ['friend'] },
        stranger: {},
        web: { inbound: [{ action: 'allow', src_tag: 'friend' }] },
        secret: {},
      },
    })
    const policy = etcdPolicy(stage, 'n1', 'web')
    t.teardown(() => policy.close())
    const caller = new CniCaller(node)
    const network = conflist(main, node, policy.own)
    const chain: Chain = { main, stage, variant, caller, network, client, stranger }

    const numbers = Array.from({ length: COUNT }, (_, at) => 10 + at)
    const strangers = [stranger, lab.external]
    const options = { caller, network, policy, families: variant.families, numbers, atOnce: AT_ONCE }
    const pods = await startPods(t, stage, { ...options, friends: [client, far], strangers })
    await t.test('CHECK, also by an agent that has just started', t => checks(t, chain, pods))
    await t.test('what came before DEL is nothing of the next pod', t => reuse(t, chain, pods))
    await t.test('an agent that is away, frozen or not in sync', t => troubled(t, chain))
    await t.test('STATUS, VERSION and GC', t => others(t, chain, pods))
  })
}

interface Chain {
  readonly main: Main
  readonly stage: Stage
  readonly variant: Variant
  readonly caller: CniCaller
  readonly network: Conflist
  readonly client: LabPod
  readonly stranger: LabPod
}

async function checks(
  t: Test,
  { stage, caller, network }: Chain,
  pods: readonly StartedPod[],
): Promise<void> {
  for (const pod of pods.slice(0, 2)) await caller.check(network, pod)
  await stage.agents.get('n1')!.stop()
  t.equal(await codeOf(caller.check(network, pods[0]!)), 11, 'no agent')
  stage.startAgent('n1')
  const within = own(network, { timeout: 60 })
  await eventually(async () => (await codeOf(caller.check(within, pods[0]!))) === 0)
  await caller.check(network, pods[1]!)
  const other = { ...pods[0]!, pod: pods[1]!.pod }
  t.equal(await codeOf(caller.check(own(network, { timeout: 1 }), other)), 11, 'another pod')
}

/** The second pod ends, and its addresses go to one that nobody may reach, with friends sending all the while. */
async function reuse(t: Test, chain: Chain, pods: readonly StartedPod[]): Promise<void> {
  const { stage, caller, network, client, variant } = chain
  const { probe } = stage.lab
  const former = pods[1]!
  const addresses = variant.families.map(family => (family === 4 ? former.address4 : former.address6))
  const flows = await Promise.all(
    addresses.map(address =>
      probe.flow(client, {
        protocol: 'udp',
        address,
        port: 7002,
        direction: 'up',
        unanswered: true,
        rate: 200,
      }),
    ),
  )
  await endPod(stage, caller, network, former)
  const secret: StartedPod = {
    ...former,
    id: 'sandbox-secret',
    pod: 'default/secret',
    namespace: 'secret',
    netns: '/run/netns/secret',
  }
  await makeNamespace(secret)
  const capture = await probe.capture(secret, { from: client.address4!, protocol: 17 })
  const capture6 = await probe.capture(secret, { from: client.address6!, protocol: 17 })
  const policy = etcdPolicy(stage, 'n1', 'secret')
  t.teardown(() => policy.close())
  await policy.declare(secret.pod, true)
  await caller.add(network, secret, asking(Number(former.namespace.slice('cni'.length))).args)
  await pause(200)
  t.same(
    [await capture.read(), await capture6.read()].map(({ came }) => came),
    [0, 0],
    'nothing came into it',
  )
  for (const each of [...flows, capture, capture6]) await each.stop()

  await caller.del(network, former)
  await caller.check(network, secret)
  t.pass('DEL once more of the pod that is gone took nothing from the new one')
  await endPod(stage, caller, network, secret)
}

async function troubled(t: Test, chain: Chain): Promise<void> {
  const { stage, caller, network, client } = chain
  const { probe } = stage.lab
  const number = 300
  const pod = podNumbered(number)
  const { args } = asking(number)
  await makeNamespace(pod)
  await probe.listen(pod, { protocol: 'udp', port: PORT })
  const policy = etcdPolicy(stage, 'n1', 'web')
  t.teardown(() => policy.close())
  await policy.declare(pod.pod, false)
  const patient = own(network, { timeout: '1500ms' })
  // A runtime takes back what a failed ADD has made; what of it stays till then must be closed.
  const add = async (): Promise<number> => {
    const code = await codeOf(caller.add(patient, pod, args))
    if (code !== 0) {
      const { arrived } = await probe.oneWay(client, { address: pod.address4, port: PORT, timeoutMs: 300 })
      t.equal(arrived, 0, 'and the pod is closed')
    }
    await caller.del(patient, pod)
    return code
  }
  const agent = stage.agents.get('n1')!
  agent.signal('SIGSTOP')
  t.equal(await add(), 11, 'frozen')
  agent.signal('SIGCONT')
  await eventually(async () => (await codeOf(caller.alone('STATUS', at11(patient), 'podfence-cni'))) === 0)
  await policy.declare(pod.pod, false)
  await agent.stop()
  t.equal(await add(), 11, 'away')

  await stage.etcd.store.commit({ deletes: [READY_KEY] })
  stage.startAgent('n1')
  await eventually(async () => (await codeOf(caller.alone('STATUS', at11(patient), 'podfence-cni'))) === 50)
  await policy.declare(pod.pod, false)
  t.equal(await add(), 11, 'not in sync')
  await stage.etcd.store.commit({ puts: [{ key: READY_KEY, value: 'true' }] })
  await policy.declare(pod.pod, false)
  await eventually(async () => (await codeOf(caller.alone('STATUS', at11(patient), 'podfence-cni'))) === 0)
  t.equal(await add(), 0, 'in sync again')

  await t.test('an agent that cannot see the interface refuses at once', async t => {
    await stage.agents.get('n1')!.stop()
    stage.startAgent('n1', ['--interface-prefixes', 'cali', '--bridges', ''])
    await stage.enforced()
    await policy.declare(pod.pod, false)
    t.equal(await codeOf(caller.add(own(network, { timeout: 60 }), pod, args)), 100)
    await caller.del(patient, pod)
    await stage.agents.get('n1')!.stop()
    stage.startAgent('n1')
    await stage.enforced()
  })
}

async function others(
  t: Test,
  { stage, caller, network }: Chain,
  pods: readonly StartedPod[],
): Promise<void> {
  const alone = at11(network)
  const call = (command: string, more = {}) => caller.alone(command, alone, 'podfence-cni', more)
  t.equal(await call('STATUS'), null)
  t.match(await call('VERSION'), {
    cniVersion: '1.1.0',
    supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
  })
  const [kept, ...stale] = pods.filter((_, at) => at !== 1)
  await call('GC', { 'cni.dev/valid-attachments': [{ containerID: kept!.id, ifname: 'eth0' }] })
  await caller.check(network, kept!)
  const endpoints = async () => (await stage.status('n1')).endpoints.filter(({ id }) => id.includes('/k8s/'))
  await eventually(async () => (await endpoints()).length === 1)
  t.equal((await endpoints())[0]?.id, `n1/k8s/${kept!.pod.replace('/', '.')}/eth0`)
  for (const pod of [kept!, ...stale]) await endPod(stage, caller, network, pod)
  await eventually(async () => (await endpoints()).length === 0)
  t.pass('DEL of what GC has removed is no failure')
}

/** The network with more of podfence-cni's own keys. */
function own(network: Conflist, more: Readonly<Record<string, unknown>>): Conflist {
  const plugins = network.plugins.map(plugin =>
    plugin.type === 'podfence-cni' ? { ...plugin, ...more } : plugin,
  )
  return { ...network, plugins }
}

function at11(network: Conflist): Conflist {
  return { ...network, cniVersion: '1.1.0' }
}

/** 0, or the code of the CNI error of podfence-cni. Throws what is none. */
async function codeOf(work: Promise<unknown>): Promise<number> {
  try {
    await work
    return 0
  } catch (error) {
    const { plugin, code } = error as CniError
    if (plugin !== 'podfence-cni') throw error
    return code
  }
}

const PATIENCE_MS = 30_000

/** Throws when that does not come about. */
async function eventually(ready: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await ready())) {
    if (Date.now() > deadline) throw new Error('it does not come about')
    await pause(50)
  }
}
