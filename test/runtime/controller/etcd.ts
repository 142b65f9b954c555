import t, { type Test } from 'tap'
import { openEtcd } from '../../../src/source/etcd-client.ts'
import type { Store } from '../../../src/source/store.ts'
import { etcdMissing, startEtcd, type TestEtcd } from '../../etcd.ts'
import { open } from '../../source/etcd-heard.ts'
import { Replica } from './support/replica.ts'
import {
  attached,
  endpointKey,
  podTree,
  policyKey,
  policyText,
  profileKey,
  READY_KEY,
  treeOf,
} from './support/tree.ts'

const skip = etcdMissing
t.setTimeout(300_000)

const PODS = 2000

function podsTree(count: number): Map<string, string> {
  const pods = Array.from({ length: count }, (_, at) =>
    podTree(`ns-${at % 20}/pod-${at}`, {
      node: `node${at % 50}`,
      nets: [`10.${at >> 8}.${at & 255}.1/32`],
      labels: { app: `app-${at % 7}` },
    }),
  )
  return treeOf(...pods, new Map([[policyKey('ns-0.deny'), policyText()]]))
}

async function treeIn(store: Store): Promise<Map<string, string>> {
  const tree = new Map<string, string>()
  for await (const { entries } of store.pages('/calico/v1/', 5000, new AbortController().signal))
    for (const { key, value } of entries) tree.set(key, value)
  return new Map([...tree].sort())
}

function sorted(...parts: Iterable<readonly [string, string]>[]): Map<string, string> {
  return new Map(parts.flatMap(part => [...part] as [string, string][]).sort())
}

function replicaOf(t: Test, etcd: TestEtcd): { replica: Replica; store: Store } {
  const store = open(t, etcd.endpoint)
  const replica = new Replica(t, { store, watched: open(t, etcd.endpoint), pageSize: 2000 })
  return { replica, store }
}

t.test(`${PODS} pods in a real etcd, and what others do to them`, { skip }, async t => {
  const etcd = await startEtcd(t)
  const hand = ['/calico/v1/policy/profile/hand/rules', '{"inbound_rules":[]}'] as const
  await etcd.put(...hand)
  const { replica, store } = replicaOf(t, etcd)
  const tree = podsTree(PODS)
  replica.writer.want(tree)
  const began = performance.now()
  replica.lead()
  await replica.until(() => replica.completions > 0)
  const ms = performance.now() - began
  t.comment(
    `${PODS} pods (${replica.keys} keys, ${replica.transactions} transactions) in ${ms.toFixed(0)} ms: ` +
      `${((1000 * PODS) / ms).toFixed(0)} pods a second`,
  )
  const whole = sorted(tree, [hand, [READY_KEY, 'true']])
  t.strictSame(await treeIn(store), whole)

  const one = podTree('ns-1/pod-1', { node: 'node1', nets: ['10.0.1.1/32'], labels: { app: 'app-1' } })
  await store.commit({ deletes: [...one.keys()] })
  await etcd.put(profileKey('ns-2/pod-2', 'rules'), '{"inbound_rules":[{"action":"allow"}]}')
  await etcd.put(policyKey('ns-9.foreign'), policyText())
  await replica.until(() => replica.repaired.length >= 3)
  await replica.until(async () => (await treeIn(store)).size === whole.size)
  t.strictSame(await treeIn(store), whole)

  const key = endpointKey('ns-3/pod-3', 'node3')
  await etcd.put(key, attached(tree.get(key)!, ['10.0.3.1/32']))
  await replica.until(async () => /taken_over/.test((await treeIn(store)).get(key)!))
  const { sandbox, labels } = JSON.parse((await treeIn(store)).get(key)!)
  t.match({ sandbox, labels }, { sandbox: 'sandbox-1', labels: { app: 'app-3' } })

  const transactions = replica.transactions
  await etcd.put('/calico/v1/config/Other', '1')
  await replica.until(async () => (await treeIn(store)).has('/calico/v1/config/Other'))
  t.equal(replica.transactions, transactions, 'nothing else is written')
})

t.test('etcd goes away and comes back, compacted, and without anything', { skip }, async t => {
  const etcd = await startEtcd(t)
  const { replica, store } = replicaOf(t, etcd)
  const tree = podsTree(50)
  replica.writer.want(tree)
  replica.lead()
  await replica.until(() => replica.completions > 0)

  await etcd.stop()
  const late = podTree('ns-1/late')
  for (const [key, value] of late) tree.set(key, value)
  replica.writer.wantChanges([...late].map(([key, value]) => ({ key, value })))
  await replica.until(() => replica.troubles.some(trouble => trouble !== null))
  await etcd.start()
  // By another hand, and forgotten before the watch could tell of it.
  await etcd.put(profileKey('ns-2/pod-2', 'tags'), '["other"]')
  await etcd.ctl('compact', String(await etcd.revision()))
  const whole = sorted(tree, [[READY_KEY, 'true']])
  const isWhole = async () => {
    const there = await treeIn(store).catch(() => new Map())
    return JSON.stringify([...there]) === JSON.stringify([...whole])
  }
  await replica.until(isWhole)
  t.pass('back')

  await etcd.wipe()
  await replica.until(isWhole)
  t.pass('whole again after etcd was wiped')
})

t.test('the other replica takes over, and one at a time writes', { skip }, async t => {
  const etcd = await startEtcd(t)
  const first = replicaOf(t, etcd)
  const second = replicaOf(t, etcd)
  for (const { replica } of [first, second]) replica.writer.want(podsTree(200))
  first.replica.lead()
  await first.replica.until(() => first.replica.completions > 0)
  await first.replica.yield()
  await etcd.put(policyKey('ns-0.deny'), '{}')
  const began = performance.now()
  second.replica.lead()
  await second.replica.until(() => second.replica.completions > 0)
  t.comment(`compared and repaired ${(performance.now() - began).toFixed(0)} ms after it got the lease`)
  t.equal(second.replica.keys, 1, 'only what was wrong is written')
  t.strictSame(await treeIn(second.store), sorted(podsTree(200), [[READY_KEY, 'true']]))
})

t.test('least rights: its part of the tree and its own key', { skip }, async t => {
  const etcd = await startEtcd(t)
  const commands = [
    'user add root:root',
    'user grant-role root root',
    'role add controller',
    'role grant-permission controller --prefix=true readwrite /calico/v1/',
    'role grant-permission controller --prefix=true readwrite /podfence/controller/',
    'user add controller:secret',
    'user grant-role controller controller',
    'auth enable',
  ]
  await etcd.ctl('role', 'add', 'root')
  for (const command of commands) await etcd.ctl(...command.split(' '))
  const account = { endpoints: [etcd.endpoint], username: 'controller', password: 'secret' }
  const [store, watched] = [openEtcd(account), openEtcd(account)]
  t.teardown(() => store.close())
  t.teardown(() => watched.close())
  const replica = new Replica(t, { store, watched })
  const tree = podsTree(10)
  replica.writer.want(tree)
  replica.lead()
  await replica.until(() => replica.completions > 0)
  t.strictSame(await treeIn(store), sorted(tree, [[READY_KEY, 'true']]))
  await t.rejects(store.commit({ puts: [{ key: '/calico/felix/x', value: '1' }] }), { code: 'STORE_DENIED' })
})
