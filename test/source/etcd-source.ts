import t from 'tap'
import { etcdMissing, startEtcd } from '../etcd.ts'
import { cuttingProxy } from './cutting-proxy.ts'
import { ARGS, fill, listen, open } from './etcd-heard.ts'

const skip = etcdMissing
t.setTimeout(120_000)

t.test('a listing in pages is of one revision, then come the changes in order', { skip }, async t => {
  const etcd = await startEtcd(t, { args: ARGS })
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 250)
  await etcd.put('/other/key', 'not ours')
  const pages: number[] = []
  let revision = 0n
  for await (const page of store.pages('/calico/v1/', 100, new AbortController().signal)) {
    pages.push(page.entries.length)
    if (pages.length === 1) {
      revision = page.revision
      // A key that comes while the pages are read belongs to the next revision.
      await etcd.put('/calico/v1/zz', 'late')
    }
    t.equal(page.revision, revision)
    t.notOk(page.entries.some(({ key }) => key === '/calico/v1/zz'))
  }
  t.same(pages, [100, 100, 50])

  const heard = listen(t, store, 100)
  await heard.until(() => heard.entries.size === 251)
  t.notOk(heard.entries.has('/other/key'))
  await store.commit({ deletes: ['/calico/v1/a/0'], puts: [{ key: '/calico/v1/b', value: '1' }] })
  const last = await store.commit({ puts: [{ key: '/calico/v1/b', value: '2' }] })
  await heard.until(() => heard.entries.get('/calico/v1/b') === '2')
  t.notOk(heard.entries.has('/calico/v1/a/0'))
  t.same(
    heard.changes.filter(({ key }) => key === '/calico/v1/b').map(({ value }) => value),
    ['1', '2'],
  )
  t.match(heard.events.at(-1), { kind: 'changes', revision: String(last) })
  t.equal(heard.snapshots, 1)
  t.same(
    heard.connections.map(({ connected }) => connected),
    [true],
  )
})

t.test('a value that is not UTF-8 is refused, not a crash', { skip }, async t => {
  const etcd = await startEtcd(t)
  const { Etcd3 } = await import('etcd3')
  const bare = new Etcd3({ hosts: etcd.endpoint })
  t.teardown(() => bare.close())
  await bare.put('/calico/v1/config/X').value(Buffer.from([0x74, 0xff, 0xfe]))
  await bare.put(Buffer.from([...Buffer.from('/calico/v1/config/'), 0xff])).value('y')
  const heard = listen(t, open(t, etcd.endpoint))
  await heard.until(() => heard.snapshots === 1)
  t.equal(heard.entries.get('/calico/v1/config/X'), '\u0000the value is not UTF-8')
  t.equal(heard.entries.size, 2)
})

t.test('after a restart the watch goes on where it was', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 10)
  const heard = listen(t, store)
  await heard.until(() => heard.snapshots === 1)
  for (const round of ['one', 'two']) {
    await etcd.restart()
    await etcd.put('/calico/v1/round', round)
    await heard.until(() => heard.entries.get('/calico/v1/round') === round)
  }
  t.equal(heard.snapshots, 1, 'no new listing was needed')
  t.same(heard.changes.length, 2, 'nothing was told twice')
  t.same(
    heard.connections.map(({ connected }) => connected).filter((now, at, all) => now !== all[at - 1]),
    [true, false, true, false, true],
  )
})

t.test('progress moves an idle watch past a compaction of others', { skip }, async t => {
  const etcd = await startEtcd(t, { args: ARGS })
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 2)
  const proxy = await cuttingProxy(t, etcd.port)
  const bytes = () => proxy.carried
  const heard = listen(t, open(t, `http://127.0.0.1:${proxy.port}`))
  await heard.until(() => heard.snapshots === 1)
  for (const at of [0, 1, 2]) await etcd.put('/other', String(at))
  // Two notifications and more have passed when this many bytes have: nothing else is on the line.
  const from = bytes()
  while (bytes() < from + 300) await new Promise(resolve => setTimeout(resolve, 50))
  await etcd.ctl('compact', String(await etcd.revision()))
  proxy.refuse()
  await heard.until(() => heard.connections.at(-1)?.connected === false)
  proxy.accept()
  await etcd.put('/calico/v1/b', '1')
  await heard.until(() => heard.entries.has('/calico/v1/b'))
  t.equal(heard.snapshots, 1)
})

t.test('a relist gives a snapshot', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, etcd.endpoint)
  await fill(store, 'a', 2)
  const heard = listen(t, store)
  await heard.until(() => heard.snapshots === 1)
  heard.source.relist('asked for')
  await heard.until(() => heard.snapshots === 2)
  t.equal(heard.entries.size, 2)
})
