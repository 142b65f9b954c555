import t, { type Test } from 'tap'
import type { LabPod } from '../../../src/lab/pod.ts'
import { READY_KEY } from '../../../src/source/v1-tree.ts'
import { playScenarios } from '../../stage.ts'
import { CniCaller, pluginsMissing } from './caller.ts'
import { type Chain, codeOf, eventually, newest, own, playChecks, playReuse } from './chain.ts'
import { etcdPolicy } from './etcd-policy.ts'
import { AGENT_FLAGS, asking, conflist, type Main, routeTo } from './network.ts'
import { endPod, makeNamespace, podNumbered, type StartedPod, startPods } from './started-pods.ts'

/** How many pods are started, four at once. */
const COUNT = Number(process.env.PODFENCE_CNI_PODS ?? 8)
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
    const secrecy = () => etcdPolicy(stage, 'n1', 'secret')
    const start = (...flags: string[]) => void stage.startAgent('n1', flags)
    const chain: Chain = { stage, variant, caller, network, client, start, secrecy }

    const pods = await startPods(t, stage, {
      ...{ caller, network, policy, families: variant.families, atOnce: 4 },
      numbers: Array.from({ length: COUNT }, (_, at) => 10 + at),
      friends: [client, far],
      strangers: [stranger, lab.external],
    })
    await t.test('CHECK, also by an agent that has just started', t => playChecks(t, chain, pods))
    await t.test('what came before DEL is nothing of the next pod', t => playReuse(t, chain, pods[1]!))
    await t.test('an agent that is away, frozen or not in sync', t => troubled(t, chain))
    await t.test('STATUS, VERSION and GC', t => others(t, chain, pods))
  })
}

async function troubled(t: Test, { stage, caller, network, client, start }: Chain): Promise<void> {
  const { probe } = stage.lab
  const number = 300
  const pod = podNumbered(number)
  const { args } = asking(number)
  await makeNamespace(pod)
  await probe.listen(pod, { protocol: 'udp', port: PORT })
  const policy = etcdPolicy(stage, 'n1', 'web')
  t.teardown(() => policy.close())
  const patient = own(network, { timeout: '1500ms' })
  const status = () => codeOf(caller.alone('STATUS', newest(patient), 'podfence-cni'))
  // A runtime takes back what a failed ADD has made; what of it stays till then must be closed while nobody can enforce it.
  const add = async (isEnforceable = false): Promise<number> => {
    await policy.declare(pod.pod, false)
    const code = await codeOf(caller.add(patient, pod, args))
    if (code !== 0 && !isEnforceable) {
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
  await agent.stop()
  t.equal(await add(), 11, 'away')

  await stage.etcd.store.commit({ deletes: [READY_KEY] })
  start()
  await eventually(async () => (await stage.status('n1').catch(() => null))?.sync.inSync === false)
  t.equal(await status(), 50)
  t.equal(await add(), 11, 'not in sync')
  await stage.etcd.store.commit({ puts: [{ key: READY_KEY, value: 'true' }] })
  await eventually(async () => (await status()) === 0)
  await eventually(async () => (await add(true)) === 0)

  await t.test('an agent that cannot see the interface refuses at once', async t => {
    await stage.agents.get('n1')!.stop()
    start('--interface-prefixes', 'cali', '--bridges', '')
    // Before it is there, a pod can only be told to try again.
    await stage.enforced()
    await policy.declare(pod.pod, false)
    t.equal(await codeOf(caller.add(own(network, { timeout: 60 }), pod, args)), 100)
    await caller.del(patient, pod)
    await stage.agents.get('n1')!.stop()
    start()
    await stage.enforced()
  })
  await endPod(stage, caller, network, pod)
}

async function others(
  t: Test,
  { stage, caller, network }: Chain,
  pods: readonly StartedPod[],
): Promise<void> {
  const call = (command: string, more = {}) => caller.alone(command, newest(network), 'podfence-cni', more)
  t.equal(await call('STATUS'), null)
  t.match(await call('VERSION'), {
    cniVersion: '1.1.0',
    supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
  })
  const [kept, ...stale] = pods.filter((_, at) => at !== 1)
  await call('GC', { 'cni.dev/valid-attachments': [{ containerID: kept!.id, ifname: 'eth0' }] })
  await caller.check(network, kept!)
  const known = async () => {
    const { endpoints } = await stage.status('n1')
    return endpoints.map(({ id }) => id).filter(id => id.includes('/k8s/'))
  }
  await eventually(async () => (await known()).length === 1)
  t.same(await known(), [`n1/k8s/${kept!.pod.replace('/', '.')}/eth0`])
  for (const pod of [kept!, ...stale]) await endPod(stage, caller, network, pod)
  await eventually(async () => (await known()).length === 0)
  t.pass('DEL of what GC has removed is no failure')
}
