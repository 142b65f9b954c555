import t, { type Test } from 'tap'
import { PodfenceError } from '../../src/errors.ts'
import { writeObjects, writeReady } from '../../src/source/object-writes.ts'
import type { Pace } from '../../src/source/pace.ts'
import { StatusWriter, type StatusWriterOptions } from '../../src/source/status-writer.ts'
import { LeaseGone, type Store, type StoreWrite } from '../../src/source/store.ts'
import { etcdMissing, startEtcd } from '../etcd.ts'
import { open } from './etcd-heard.ts'

t.setTimeout(120_000)

/** A store that only takes writes; `fail` makes the next calls throw. */
class WriteStore {
  readonly writes: StoreWrite[] = []
  readonly calls: string[] = []
  fail: Error | null = null
  private waiting: (() => void)[] = []

  get store(): Store {
    return this as unknown as Store
  }

  async commit(write: StoreWrite): Promise<bigint> {
    this.call('commit')
    this.writes.push(write)
    return BigInt(this.writes.length)
  }

  async grantLease(seconds: number): Promise<string> {
    this.call(`grant ${seconds}`)
    return 'lease'
  }

  async keepLease(): Promise<void> {
    this.call('keep')
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>(resolve => this.waiting.push(resolve))
  }

  private call(what: string): void {
    this.calls.push(this.fail ? `${what}!` : what)
    const waiting = this.waiting
    this.waiting = []
    for (const resolve of waiting) setImmediate(resolve)
    if (this.fail) throw this.fail
  }
}

const UNREACHABLE = new PodfenceError('STORE_UNREACHABLE', 'gone')

function start(t: Test, writer: StatusWriter) {
  const stop = new AbortController()
  const run = writer.run(stop.signal)
  const end = async () => {
    stop.abort()
    await run
  }
  t.teardown(end)
  return end
}

function writing(store: WriteStore, options: Partial<StatusWriterOptions> = {}) {
  let ms = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
  const now = () => new Date(ms)
  const pace: Pace = {
    wait: () => new Promise(resolve => setTimeout(resolve, 1)),
    now: () => performance.now(),
    isLong: () => false,
  }
  const base = { store: store.store, host: 'node1', now, pace }
  const writer = new StatusWriter(Object.defineProperties(base, Object.getOwnPropertyDescriptors(options)))
  return {
    writer,
    pass: (more: number) => {
      ms += more
    },
  }
}

const EP = 'workload/k8s/default.web/endpoint/eth0'

t.test('the host status: with a lease, once more without, and nothing before in sync', async t => {
  const store = new WriteStore()
  const { writer, pass } = writing(store, { intervalSeconds: 0.02 })
  start(t, writer)
  await new Promise(resolve => setImmediate(resolve))
  t.same(store.calls, [])
  pass(2_500)
  writer.setInSync()
  await store.until(() => store.writes.length >= 2)
  const value = '{"time":"2026-01-02T03:04:08Z","uptime":2.5,"first_update":true}'
  t.same(store.writes[0], {
    puts: [
      { key: '/calico/felix/v1/host/node1/status', value, lease: 'lease' },
      { key: '/calico/felix/v1/host/node1/last_reported_status', value },
    ],
  })
  t.match(store.writes[1]?.puts?.[0]?.value, /"first_update":false/)
  t.same(store.calls.slice(0, 4), ['grant 90', 'commit', 'keep', 'commit'])
})

t.test('an outage is told once, and a lost lease is replaced', async t => {
  const store = new WriteStore()
  const troubles: (string | null)[] = []
  const { writer } = writing(store, {
    intervalSeconds: 0.02,
    ttlSeconds: 5,
    onTrouble: reason => troubles.push(reason),
  })
  writer.setInSync()
  start(t, writer)
  await store.until(() => store.writes.length === 1)
  store.fail = UNREACHABLE
  await store.until(() => store.calls.length > 6)
  store.fail = new LeaseGone('ended')
  await store.until(() => store.calls.at(-1) === 'grant 5!')
  store.fail = null
  await store.until(() => store.writes.length >= 2)
  await store.until(() => store.writes.length >= 3)
  t.same(troubles, ['gone', null])
})

t.test('the interval and the time to live may change', async t => {
  const store = new WriteStore()
  const now = { interval: 0, ttl: 5 }
  const { writer } = writing(store, {
    get intervalSeconds() {
      return now.interval
    },
    get ttlSeconds() {
      return now.ttl
    },
  })
  writer.setInSync()
  start(t, writer)
  await new Promise(resolve => setTimeout(resolve, 10))
  t.same(store.calls, [])
  now.interval = 3600
  writer.paceChanged()
  await store.until(() => store.writes.length === 1)
  Object.assign(now, { interval: 0.02, ttl: 7 })
  writer.paceChanged()
  await store.until(() => store.writes.length === 3)
  t.same(store.calls, ['grant 5', 'commit', 'grant 7', 'commit', 'keep', 'commit'])
})

t.test('an interval of 0 writes no host status', async t => {
  const store = new WriteStore()
  const { writer } = writing(store, { intervalSeconds: 0, endpoints: { enabled: true, delaySeconds: 0 } })
  writer.setInSync()
  writer.setEndpoint(EP, 'up')
  start(t, writer)
  await store.until(() => store.writes.length === 2)
  t.same(store.calls, ['commit', 'commit'])
})

t.test('endpoint status: stale keys go first, bursts go together, an outage costs no memory', async t => {
  const store = new WriteStore()
  const { writer } = writing(store, {
    intervalSeconds: 3_600,
    endpoints: { enabled: true, delaySeconds: 0.01 },
  })
  writer.setInSync()
  writer.setEndpoint(EP, 'down')
  start(t, writer)
  await store.until(() => store.writes.length === 3)
  const prefix = '/calico/felix/v1/host/node1/'
  t.same(store.writes.slice(1), [
    { deletePrefixes: [`${prefix}workload/`, `${prefix}endpoint/`] },
    { puts: [{ key: prefix + EP, value: '{"status":"down"}' }], deletes: [] },
  ])
  // Out for a long while: only the last state of each is written, in few transactions.
  store.fail = UNREACHABLE
  for (let round = 0; round < 50; round++)
    for (let at = 0; at < 150; at++) writer.setEndpoint(`endpoint/e${at}`, round % 2 ? 'up' : 'error')
  writer.setEndpoint(EP, null)
  await store.until(() => store.calls.filter(call => call === 'commit!').length > 2)
  store.fail = null
  await store.until(() => store.writes.length === 5)
  const puts = store.writes.slice(3).flatMap(write => write.puts ?? [])
  t.equal(puts.length, 150)
  t.ok(puts.every(({ value }) => value === '{"status":"up"}'))
  t.same(
    store.writes.slice(3).flatMap(write => write.deletes ?? []),
    [prefix + EP],
  )
  writer.setEndpoint('endpoint/e0', 'up')
  writer.setEndpoint('endpoint/e1', 'error')
  await store.until(() => store.writes.length === 6)
  t.same(store.writes[5]?.puts, [{ key: `${prefix}endpoint/e1`, value: '{"status":"error"}' }])
})

t.test('endpoint status is off unless enabled', async t => {
  const store = new WriteStore()
  const { writer } = writing(store, { intervalSeconds: 0.02 })
  writer.setInSync()
  writer.setEndpoint(EP, 'up')
  start(t, writer)
  await store.until(() => store.writes.length === 2)
  t.ok(store.writes.every(({ puts }) => puts?.length === 2))
})

t.test(
  'the host status against etcd: its lease ends it, the other key stays',
  { skip: etcdMissing },
  async t => {
    const etcd = await startEtcd(t)
    const store = open(t, etcd.endpoint)
    const status = '/calico/felix/v1/host/node1/status'
    const writer = new StatusWriter({ store, host: 'node1', intervalSeconds: 0.2, ttlSeconds: 2 })
    writer.setInSync()
    const end = start(t, writer)
    const version = async () => (await store.get(status)).entry?.version ?? 0n
    while ((await version()) < 3n) await new Promise(resolve => setTimeout(resolve, 50))
    await etcd.wipe()
    while ((await version().catch(() => 0n)) < 2n) await new Promise(resolve => setTimeout(resolve, 50))
    await end()
    while ((await version()) > 0n) await new Promise(resolve => setTimeout(resolve, 100))
    t.match((await store.get('/calico/felix/v1/host/node1/last_reported_status')).entry?.value, /^{"time":/)
  },
)

t.test(
  'objects are written one transaction each; a lost answer is tried again, a refusal is not',
  async t => {
    const store = new WriteStore()
    const objects = [
      {
        name: 'a',
        changes: [
          { key: '/a', value: '1' },
          { key: '/b', value: null },
        ],
      },
      { name: 'c', changes: [{ key: '/c', value: '3' }] },
    ]
    const written: string[] = []
    const options = {
      waits: [0, 0],
      onWritten: ({ name }: { name: string }, revision: bigint) => written.push(`${name} ${revision}`),
    }
    await writeObjects(store.store, objects, options)
    await writeReady(store.store, options)
    t.same(store.writes, [
      { puts: [{ key: '/a', value: '1' }], deletes: ['/b'] },
      { puts: [{ key: '/c', value: '3' }], deletes: [] },
      { puts: [{ key: '/calico/v1/Ready', value: 'true' }] },
    ])
    t.same(written, ['a 1', 'c 2'])
    store.calls.length = 0
    store.fail = UNREACHABLE
    await t.rejects(writeObjects(store.store, objects, options), { code: 'STORE_UNREACHABLE' })
    t.same(store.calls, ['commit!', 'commit!', 'commit!'])
    store.calls.length = 0
    store.fail = new PodfenceError('STORE_DENIED', 'no')
    await t.rejects(writeObjects(store.store, objects, options), { code: 'STORE_DENIED' })
    t.same(store.calls, ['commit!'])
  },
)
