import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openEtcd } from '../../src/source/etcd-client.ts'
import { startEtcd } from '../etcd.ts'
import { clusterMissing, startCluster } from './support/cluster.ts'
import { type ControllerProcess, startController } from './support/controller-process.ts'
import { namespaceObject, podObject, podStatus, policyObject } from './support/objects.ts'

const RIGHTS = fileURLToPath(new URL('../../src/deploy/rbac-controller.yaml', import.meta.url))
/** Short, so that the tests need not wait for a quarter of a minute each time. */
const LEASE_MS = 4000

t.setTimeout(600_000)

t.test('podfence controller against a real kube-apiserver', { skip: clusterMissing }, async t => {
  const cluster = await startCluster(t)
  const { admin } = cluster
  const etcd = await startEtcd(t)
  const store = openEtcd({ endpoints: [etcd.endpoint] })
  t.teardown(() => store.close())
  await cluster.applyFile(RIGHTS)
  const account = await cluster.serviceAccount('podfence/podfence-controller')
  const flags = ['--annotation-policy', 'on', '--lease-duration', `${LEASE_MS}ms`]
  const start = () => startController(t, { kubeconfig: account.kubeconfig, etcd: etcd.endpoint, flags })

  const value = async (key: string) => (await store.get(`/calico/v1/${key}`)).entry?.value ?? null
  const until = async (what: string, condition: () => Promise<boolean>): Promise<number> => {
    const began = performance.now()
    while (!(await condition())) {
      if (performance.now() - began > 60_000) {
        for (const { said } of replicas) t.comment(said.slice(-2000))
        throw new Error(`not within a minute: ${what}`)
      }
      await pause(10)
    }
    return performance.now() - began
  }
  const endpoint = (pod: string, node = 'n1') =>
    `host/${node}/workload/k8s/${pod.replace('/', '.')}/endpoint/eth0`
  const labelOf = async (pod: string, label: string) =>
    JSON.parse((await value(endpoint(pod))) ?? '{}').labels?.[label]
  /** Changes something and waits until it is in etcd. */
  let marks = 0
  const written = async (): Promise<number> => {
    const mark = `mark-${++marks}`
    await admin.patch('Pod', 'shop/web', { metadata: { labels: { mark } } })
    return until(`${mark} is written`, async () => (await labelOf('shop/web', 'mark')) === mark)
  }

  await admin.create(namespaceObject('shop', { team: 'a' }))
  await admin.create(podObject('shop/web', { labels: { app: 'web' }, ports: { http: 80 } }))
  await admin.patch('Pod', 'shop/web', podStatus(['10.65.0.2', 'fd65::2']), 'status')
  await admin.create(
    podObject('shop/wrong', { annotations: { 'projectcalico.org/policy': 'allow tcp from nowhere' } }),
  )
  await admin.create(policyObject('shop/deny', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }))

  const replicas: ControllerProcess[] = [await start(), await start()]
  const leader = async () => {
    for (const replica of replicas) if ((await replica.metric('controller_leading')) === 1) return replica
    return null
  }

  await t.test('the tree, complete', async t => {
    const ms = await until('Ready', async () => (await value('Ready')) === 'true')
    t.comment(`Ready ${ms.toFixed(0)} ms after two replicas were started`)
    t.match(JSON.parse((await value(endpoint('shop/web')))!), {
      state: 'active',
      ipv4_nets: ['10.65.0.2/32'],
      ipv6_nets: ['fd65::2/128'],
      profile_ids: ['shop_web'],
      labels: { app: 'web', 'podfence/namespace': 'shop', 'podfence/port.tcp.http': '80' },
    })
    t.match(JSON.parse((await value('policy/profile/shop_web/labels'))!), { 'podfence/ns/team': 'a' })
    t.match(JSON.parse((await value('policy/profile/shop_web/tags'))!), [
      'shop_web',
      'namespace_shop',
      'shop_app_web',
    ])
    t.same(JSON.parse((await value('policy/profile/shop_wrong/rules'))!).inbound_rules, [])
    for (const tier of ['ingress', 'egress'])
      t.ok(await value(`policy/tier/kubernetes-${tier}/policy/shop.deny`), tier)
    await until('both replicas are ready', async () =>
      (await Promise.all(replicas.map(replica => replica.health('readiness')))).every(
        ({ code }) => code === 200,
      ),
    )
    for (const replica of replicas) t.equal((await replica.health('liveness')).code, 200)
  })

  await t.test('one Event says what is wrong with the annotation', async t => {
    const events = async () =>
      (await admin.list('Event', 'shop')).items.filter(({ reason }) => reason === 'BadAnnotation')
    await until('an Event', async () => (await events()).length > 0)
    const [event] = await events()
    t.match(event, {
      type: 'Warning',
      involvedObject: { kind: 'Pod', name: 'wrong' },
      message: /^Column 16: /,
    })
  })

  await t.test('changes in Kubernetes, and changes by others in etcd', async t => {
    t.comment(`a label in etcd ${(await written()).toFixed(0)} ms after it was patched`)
    await store.commit({ deletes: [`/calico/v1/${endpoint('shop/web')}`] })
    await until('the endpoint is back', async () => (await value(endpoint('shop/web'))) !== null)
    await admin.remove('Pod', 'shop/wrong')
    await until('a pod that is gone', async () => (await value(endpoint('shop/wrong'))) === null)
    t.equal(await value('policy/profile/shop_wrong/rules'), null)
    await admin.patch('Namespace', 'shop', { metadata: { labels: { team: 'b' } } })
    await until('a label of the namespace', async () =>
      /"podfence\/ns\/team":"b"/.test((await value('policy/profile/shop_web/labels'))!),
    )
  })

  await t.test('the holder is killed, and the other takes over', async t => {
    const old = (await leader())!
    await old.stop('SIGKILL')
    replicas.splice(replicas.indexOf(old), 1)
    t.comment(
      `written ${(await written()).toFixed(0)} ms after the holder of a lease of ${LEASE_MS} ms was killed`,
    )
    t.equal(await leader(), replicas[0])
    replicas.push(await start())
  })

  await t.test('the holder ends by SIGTERM, and the other takes over at once', async t => {
    await until('the new one is ready', async () => (await replicas[1]!.health('readiness')).code === 200)
    const old = (await leader())!
    const before = await value('policy/profile/shop_web/rules')
    t.equal(await old.stop(), 0)
    replicas.splice(replicas.indexOf(old), 1)
    t.equal(await value('Ready'), 'true', 'the tree stands')
    t.equal(await value('policy/profile/shop_web/rules'), before)
    t.comment(`written ${(await written()).toFixed(0)} ms after the holder ended in an orderly way`)
    replicas.push(await start())
  })

  await t.test('a holder that stood still changes nothing when it goes on', async t => {
    await until('the new one is ready', async () => (await replicas[1]!.health('readiness')).code === 200)
    const old = (await leader())!
    old.signal('SIGSTOP')
    await written()
    await admin.create(podObject('shop/later'))
    await until('a pod of after', async () => (await value(endpoint('shop/later'))) !== null)
    old.signal('SIGCONT')
    await until('the old one knows', async () => (await old.metric('controller_leading')) === 0)
    await written()
    t.ok(await value(endpoint('shop/later')))
    t.not(await leader(), old)
  })

  await t.test('the API server goes away and comes back', async t => {
    await cluster.stop()
    await until('nobody leads', async () => (await leader()) === null)
    t.equal(await value('Ready'), 'true', 'the tree stands')
    await cluster.start()
    t.comment(`written ${(await written()).toFixed(0)} ms after the API server was ready again`)
  })
})
