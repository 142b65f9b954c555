import t from 'tap'
import { etcdMissing, startEtcd } from '../etcd.ts'
import { cuttingProxy } from './cutting-proxy.ts'
import { ARGS, fill, listen, open } from './etcd-heard.ts'

const skip = etcdMissing
t.setTimeout(120_000)

t.test(
  'a connection cut again and again during a long catch-up loses and repeats nothing',
  { skip },
  async t => {
    const etcd = await startEtcd(t)
    const direct = open(t, etcd.endpoint)
    await etcd.put('/calico/v1/first', '1')
    const proxy = await cuttingProxy(t, etcd.port)
    const heard = listen(t, open(t, `http://127.0.0.1:${proxy.port}`))
    await heard.until(() => heard.snapshots === 1)
    proxy.refuse()
    await heard.until(() => heard.connections.at(-1)?.connected === false)
    // 20 000 changes in 4 000 transactions. etcd sends a thousand revisions in one message, here 1.3 MB.
    for (let at = 0; at < 4_000; at += 200)
      await Promise.all(
        Array.from({ length: 200 }, (_, more) =>
          direct.commit({
            puts: Array.from({ length: 5 }, (_, key) => ({
              key: `/calico/v1/k/${key}/${at + more}`,
              value: 'v'.repeat(200),
            })),
          }),
        ),
      )
    const last = await direct.commit({ puts: [{ key: '/calico/v1/last', value: '1' }] })
    const seenBefore: number[] = []
    proxy.accept(() => {
      seenBefore.push(heard.changes.length)
      return heard.changes.length < 15_000 ? 2_000_000 : Number.POSITIVE_INFINITY
    })
    await heard.until(() => heard.entries.has('/calico/v1/last'))
    t.same([...new Set(seenBefore)], [0, 5_000, 10_000, 15_000], 'each connection brought a part')
    t.equal(heard.snapshots, 1)
    t.equal(heard.entries.size, 20_002)
    t.equal(heard.changes.length, 20_001, 'each change came once')
    const events = heard.events.filter(event => event.kind === 'changes')
    t.equal(events.at(-1)?.revision, String(last))
    const split = events.filter(
      ({ changes }) => changes.filter(({ key }) => key !== '/calico/v1/last').length % 5 !== 0,
    )
    t.same(split.length, 0, 'no transaction was split')
  },
)

t.test('compacted past us: a new snapshot', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 3)
  const proxy = await cuttingProxy(t, etcd.port)
  const heard = listen(t, open(t, `http://127.0.0.1:${proxy.port}`))
  await heard.until(() => heard.snapshots === 1)
  proxy.refuse()
  await heard.until(() => heard.connections.at(-1)?.connected === false)
  await store.commit({ deletes: ['/calico/v1/a/0'] })
  await etcd.put('/calico/v1/b', '1')
  await etcd.ctl('compact', String(await etcd.revision()))
  proxy.accept()
  await heard.until(() => heard.snapshots === 2)
  t.same([...heard.entries.keys()].sort(), ['/calico/v1/a/1', '/calico/v1/a/2', '/calico/v1/b'])
  await etcd.put('/calico/v1/c', '1')
  await heard.until(() => heard.entries.has('/calico/v1/c'))
})

t.test('wiped and refilled past our revision: a new snapshot', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 5, 'old')
  const proxy = await cuttingProxy(t, etcd.port)
  const heard = listen(t, open(t, `http://127.0.0.1:${proxy.port}`))
  await heard.until(() => heard.snapshots === 1)
  // Straight away: the revision is lower than ours.
  await etcd.wipe()
  await heard.until(() => heard.snapshots === 2)
  t.equal(heard.entries.size, 0)

  // While we are away: same cluster id, same term, as many keys, and a revision above ours.
  await fill(store, 'a', 5, 'old')
  await heard.until(() => heard.entries.size === 5)
  proxy.refuse()
  await heard.until(() => heard.connections.at(-1)?.connected === false)
  const seen = await etcd.revision()
  await etcd.wipe()
  await fill(store, 'b', 5, 'new')
  while ((await etcd.revision()) <= seen + 3) await etcd.put('/calico/v1/b/0', 'newer')
  proxy.accept()
  await heard.until(() => heard.snapshots === 3)
  t.same(
    [...heard.entries.keys()].sort(),
    [0, 1, 2, 3, 4].map(at => `/calico/v1/b/${at}`),
  )
})

t.test('restored to a lower revision: a new snapshot, and changes again', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 2)
  await etcd.save()
  const heard = listen(t, store)
  await heard.until(() => heard.snapshots === 1)
  for (const at of [0, 1, 2, 3]) await etcd.put('/calico/v1/later', String(at))
  await heard.until(() => heard.entries.get('/calico/v1/later') === '3')
  await etcd.restore()
  await heard.until(() => heard.snapshots === 2)
  t.same([...heard.entries.keys()].sort(), ['/calico/v1/a/0', '/calico/v1/a/1'])
  await etcd.put('/calico/v1/after', '1')
  await heard.until(() => heard.entries.has('/calico/v1/after'))
})

t.test('a frozen server is noticed, and the watch goes on when it thaws', { skip }, async t => {
  const etcd = await startEtcd(t, { args: ARGS })
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 2)
  const heard = listen(t, store)
  await heard.until(() => heard.snapshots === 1)
  etcd.freeze()
  await heard.until(() => heard.connections.at(-1)?.connected === false)
  etcd.thaw()
  await etcd.put('/calico/v1/thawed', '1')
  await heard.until(() => heard.entries.has('/calico/v1/thawed'))
  t.equal(heard.snapshots, 1)
})
