// Runs alone: an API server, an etcd, two agents and many plugins at once keep both cores busy.
import type { LabPod } from '../../src/lab/pod.ts'
import { CniCaller, pluginsMissing } from '../cni/support/caller.ts'
import { type Chain, codeOf, eventually, newest, own, playChecks, playReuse } from '../cni/support/chain.ts'
import { AGENT_FLAGS, asking, conflist, routeTo } from '../cni/support/network.ts'
import { endPod, makeNamespace, podNumbered, startPods } from '../cni/support/started-pods.ts'
import { playScenarios } from '../stage.ts'
import { clusterMissing, startCluster } from './support/cluster.ts'
import { kubernetesPolicy } from './support/kubernetes-policy.ts'
import { LiveStage } from './support/live-stage.ts'
import { policyObject } from './support/objects.ts'

/** On nft; on legacy, which copies the whole table for each of them, a tenth, but enough for every scenario. */
const COUNT = Number(process.env.PODFENCE_CNI_PODS ?? 200)

/** Pods that a CNI chain starts on a node whose agent watches Kubernetes: the socket is the only channel. */
const missing = clusterMissing || pluginsMissing
await playScenarios({ agents: false, flags: AGENT_FLAGS.ptp, missing }, async (t, stage, variant) => {
  const { lab } = stage
  const node = lab.node('n1')
  const [client, far, stranger] = (await lab.addPods([
    { name: 'client', node, kind: 'routed' },
    { name: 'far', node: lab.node('n2'), kind: 'routed' },
    { name: 'stranger', node, kind: 'routed' },
  ])) as [LabPod, LabPod, LabPod]
  await routeTo(stage, node)
  const cluster = await startCluster(t, { address: lab.storeAddress4 })
  const { admin } = cluster
  await cluster.applyFile('src/deploy/rbac-agent.yaml')
  const proxy = await cluster.proxy()
  const { kubeconfig } = await cluster.serviceAccount('podfence/podfence-agent', proxy.url)
  const world = new LiveStage(t, stage, variant, cluster)
  for (const pod of [client, far]) await world.run(`default/${pod.name}`, pod, { labels: { role: 'friend' } })
  await world.run('default/stranger', stranger)
  const friends = [{ podSelector: { matchLabels: { role: 'friend' } } }]
  for (const [name, ingress] of [
    ['web', [{ from: friends }]],
    ['secret', []],
  ] as const)
    await admin.create(
      policyObject(`default/${name}`, {
        podSelector: { matchLabels: { app: name } },
        ingress,
        policyTypes: ['Ingress'],
      }),
    )
  const flags = ['--source', 'kubernetes', '--kubeconfig', kubeconfig]
  const start = (...more: string[]) => void stage.startAgent('n1', [...flags, ...more])
  start()
  stage.startAgent('n2', flags)
  await world.enforced({ n1: 2, n2: 1 })

  const policy = kubernetesPolicy(cluster, 'n1', { app: 'web' })
  t.teardown(() => policy.close())
  const caller = new CniCaller(node)
  const network = conflist('ptp', node, policy.own)
  const secrecy = () => kubernetesPolicy(cluster, 'n1', { app: 'secret' })
  const chain: Chain = { stage, variant, caller, network, client, start, secrecy }
  const count = variant.backend === 'nft' ? COUNT : Math.max(4, Math.ceil(COUNT / 10))
  const pods = await startPods(t, stage, {
    ...{ caller, network, policy, families: variant.families, atOnce: 4 },
    numbers: Array.from({ length: count }, (_, at) => 10 + at),
    friends: [client, far],
    strangers: [stranger, lab.external],
  })
  await t.test('CHECK, also by an agent that has just started', t => playChecks(t, chain, pods))
  await t.test('what came before DEL is nothing of the next pod', t => playReuse(t, chain, pods[1]!))

  await t.test('an agent that starts while the API is away', async t => {
    await stage.agents.get('n1')!.stop()
    proxy.refuse()
    start()
    const late = podNumbered(5000)
    await makeNamespace(late)
    await policy.declare(late.pod, false)
    const add = (timeout: number | string) => caller.add(own(network, { timeout }), late, asking(5000).args)
    const status = () => codeOf(caller.alone('STATUS', newest(network), 'podfence-cni'))
    t.equal(await status(), 50)
    t.equal(await codeOf(add('1500ms')), 11, 'ADD waits, and says when it has waited for too long')
    await caller.del(network, late)
    const adding = add(60)
    proxy.accept()
    await adding
    t.equal(await status(), 0, 'and goes through when the API is back')
    await caller.check(network, pods[0]!)
    t.pass('what an earlier agent was told is known')
    await endPod(stage, caller, network, late)
  })

  await t.test('another sandbox of the same pod, and GC', async t => {
    const [pod] = pods
    const again = { ...pod!, id: 'sandbox-again', namespace: 'again', netns: '/run/netns/again' }
    await makeNamespace(again)
    // As after a reboot of the sandbox: the new one comes before the old one is taken away, with its own addresses.
    const { address4, address6, args } = asking(6000)
    await caller.add(network, again, args)
    await endPod(stage, caller, network, pod!)
    await caller.check(network, again)
    await lab.probe.listen(again, { protocol: 'udp', port: 7005 })
    const { arrived } = await lab.probe.oneWay(client, { address: address4, port: 7005, timeoutMs: 3000 })
    t.equal(arrived, 1, 'the late DEL took nothing from it')

    const interfaceOf = async () => {
      const { endpoints } = await stage.status('n1')
      return endpoints.find(({ id }) => id === `n1/k8s/${pod!.pod.replace('/', '.')}/eth0`)
    }
    t.same((await interfaceOf())?.addresses, [address4, address6])
    const valid = pods.slice(2).map(({ id }) => ({ containerID: id, ifname: 'eth0' }))
    await caller.alone('GC', newest(network), 'podfence-cni', { 'cni.dev/valid-attachments': valid })
    await eventually(async () => (await interfaceOf())?.addresses.length === 0)
    t.pass('GC took the addresses of what is not listed')
    await caller.check(network, pods[2]!)
    for (const each of [again, ...pods.slice(2)]) await endPod(stage, caller, network, each)
  })
})
