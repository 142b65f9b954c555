import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Expected } from '../../../src/runtime/controller/expected.ts'
import { HOLDER_KEY } from '../../../src/runtime/controller/fence.ts'
import { HeldTree } from '../../../src/runtime/controller/held-tree.ts'
import type { StoreWrite } from '../../../src/source/store.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { FakeStore } from './support/fake-store.ts'
import { QUICK, Replica, type ReplicaOptions } from './support/replica.ts'
import {
  attached,
  endpointKey,
  podTree,
  policyKey,
  policyText,
  profileKey,
  READY_KEY,
  tierKey,
  treeOf,
} from './support/tree.ts'

const TREE = treeOf(
  podTree('web/one', { nets: ['10.1.0.1/32'] }),
  podTree('web/two', { nets: ['10.1.0.2/32'] }),
  new Map([[policyKey('web.deny'), policyText()]]),
)
const READY = [READY_KEY, 'true'] as const

/** A leading replica whose tree is complete, on a store of these keys. */
async function complete(
  t: Test,
  held: ReadonlyMap<string, string> = new Map(),
  options: Partial<ReplicaOptions> = {},
) {
  const store = new FakeStore()
  for (const [key, value] of held) store.put(key, value)
  const replica = new Replica(t, { store, ...options })
  replica.writer.want(TREE)
  replica.lead()
  await replica.until(() => replica.completions > 0)
  return { store, replica }
}

function keysOf({ puts = [], deletes = [] }: StoreWrite): string[] {
  return [...puts.map(({ key }) => key), ...deletes]
}

function treeOfStore(store: FakeStore): Map<string, string> {
  return new Map([...store.tree('/calico/v1/')].sort())
}

function sorted(...parts: Iterable<readonly [string, string]>[]): Map<string, string> {
  return new Map(parts.flatMap(part => [...part]).sort() as [string, string][])
}

/** Long enough for every change to have come through the watch and to have been answered. */
async function quiet(): Promise<void> {
  for (let turns = 0; turns < 30; turns++) await settle()
}

t.test('an empty store: everything behind the fence, Ready last, and then nothing more', async t => {
  const { store, replica } = await complete(t)
  t.strictSame(treeOfStore(store), sorted(TREE, [READY]))
  const [fence, ...writes] = store.writes
  t.same(keysOf(fence!), [HOLDER_KEY])
  t.same(keysOf(writes.at(-1)!), [READY_KEY])
  for (const { conditions = [] } of writes)
    t.match(conditions[0], { key: HOLDER_KEY, modRevision: 2n }, 'each behind the fence')
  await quiet()
  t.equal(store.writes.length, writes.length + 1, 'its own writes are no reason to write')
  t.equal(replica.conflicts, 0)
  t.same(replica.repaired, [])
})

t.test('of two changes of a key that are told at once the last one is held', async t => {
  const key = policyKey('web.deny')
  const held = new HeldTree(new Map([[key, 51n]]))
  const unit = 'policy web.deny'
  held.change([
    { key, value: 'a' },
    { key, value: 'b' },
  ])
  t.same(held.of(unit).get(key), { value: 'b', modRevision: 51n })
  const left = new HeldTree(new Map())
  left.change([
    { key, value: 'a' },
    { key, value: null },
  ])
  t.equal(left.of(unit).size, 0)
})

t.test('nothing is written while one of the two trees is not known, or the lease is not ours', async t => {
  const store = new FakeStore()
  store.put(endpointKey('web/stale'), TREE.get(endpointKey('web/one'))!)
  const replica = new Replica(t, { store })
  replica.lead()
  await quiet()
  t.same(store.writes.slice(1).map(keysOf), [[HOLDER_KEY]], 'Kubernetes is not known yet')
  await replica.yield()
  replica.writer.want(TREE)
  await quiet()
  t.equal(store.writes.length, 2, 'another one writes')
  replica.lead()
  await replica.until(() => replica.completions > 0)
  t.strictSame(treeOfStore(store), sorted(TREE, [READY]))
})

t.test('what Kubernetes changes is written, an object in one transaction', async t => {
  const { store, replica } = await complete(t)
  const before = store.writes.length
  const three = podTree('web/three')
  replica.writer.wantChanges([
    ...[...three].map(([key, value]) => ({ key, value })),
    ...[...podTree('web/two').keys()].map(key => ({ key, value: null })),
  ])
  await replica.until(() => treeOfStore(store).has(endpointKey('web/three')))
  t.equal(store.writes.length, before + 1)
  const wanted = sorted(TREE, three, [READY])
  for (const key of podTree('web/two').keys()) wanted.delete(key)
  t.strictSame(treeOfStore(store), wanted)
})

t.test('what others change is put right, and what they wrote by hand stays', async t => {
  const byHand = [
    ['/calico/v1/policy/profile/mine/rules', '{"inbound_rules":[]}'],
    [endpointKey('web/mine'), '{"state":"active","name":"cali1","profile_ids":["mine"]}'],
  ] as const
  const { store, replica } = await complete(t, new Map(byHand))
  store.put(profileKey('web/one', 'rules'), '{"inbound_rules":[{"action":"allow"}]}')
  store.put(policyKey('web.deny'), null)
  store.put(policyKey('web.foreign'), policyText())
  store.put(tierKey('egress'), '{"order":1}')
  for (const [key, value] of podTree('web/gone')) store.put(key, value)
  await replica.until(() => replica.repaired.length >= 5)
  await quiet()
  t.strictSame(treeOfStore(store), sorted(TREE, byHand, [READY]))
  t.same(replica.repaired.sort(), [
    'pod web/gone',
    'pod web/one',
    'policy web.deny',
    'policy web.foreign',
    'tier kubernetes-egress',
  ])
})

t.test('a write of the CNI plugin that comes in between is not lost, and costs others nothing', async t => {
  const store = new FakeStore()
  const replica = new Replica(t, { store })
  replica.writer.want(TREE)
  const key = endpointKey('web/one')
  let attachedOnce = false
  store.before = write => {
    if (attachedOnce || !keysOf(write).includes(key)) return
    attachedOnce = true
    store.put(key, attached(null, ['10.1.0.1/32']))
  }
  replica.lead()
  await replica.until(() => replica.completions > 0)
  t.match(JSON.parse(store.tree().get(key)!), {
    name: 'cali0123456789a',
    sandbox: 'sandbox-1',
    profile_ids: ['web_one'],
    labels: { 'podfence/namespace': 'web' },
  })
  t.equal(replica.conflicts, 1)
  const rest = sorted(TREE, [READY])
  rest.delete(key)
  const there = treeOfStore(store)
  there.delete(key)
  t.strictSame(there, rest)
})

t.test('no pod comes before the policies that close it, also when one of these meets a conflict', async t => {
  const { store, replica } = await complete(t)
  const policy = policyKey('new.deny')
  const pods = Array.from({ length: 100 }, (_, at) => podTree(`new/pod-${at}`))
  const changes = [...pods.flatMap(pod => [...pod]), [policy, policyText()] as const]
  let spoilt = 0
  store.before = write => {
    if (keysOf(write).includes(policy) && ++spoilt === 1) store.put(policy, '{}')
  }
  const before = store.writes.length
  replica.writer.wantChanges(changes.map(([key, value]) => ({ key, value })))
  await replica.until(() => changes.every(([key, value]) => store.tree().get(key) === value))
  const writes = store.writes.slice(before + 1).map(keysOf)
  const closed = writes.findIndex(keys => keys.includes(policy))
  const opened = writes.findIndex(keys => keys.some(key => key.includes('/endpoint/')))
  t.equal(spoilt, 2)
  t.ok(closed <= opened, `the policy comes with write ${closed}, the first pod with ${opened}`)
})

t.test(
  'a policy that meets one conflict after the other keeps pods back, but not other policies',
  async t => {
    const { store, replica } = await complete(t)
    const [spoilt, other] = [policyKey('new.spoilt'), policyKey('new.other')]
    const pod = podTree('new/pod')
    let spoils = 0
    store.before = write => {
      if (spoils >= 0 && keysOf(write).includes(spoilt)) store.put(spoilt, `{"order":${++spoils}}`)
    }
    const changes = [...pod, [spoilt, policyText()] as const, [other, policyText()] as const]
    replica.writer.wantChanges(changes.map(([key, value]) => ({ key, value })))
    await replica.until(() => spoils > 6)
    t.ok(store.tree().has(other))
    t.notOk(store.tree().has(endpointKey('new/pod')))
    spoils = Number.NEGATIVE_INFINITY
    await replica.until(() => changes.every(([key, value]) => store.tree().get(key) === value))
  },
)

t.test('a write of the CNI plugin is heard of after the plan and before its transaction', async t => {
  const store = new FakeStore()
  const replica = new Replica(t, { store })
  const pods = Array.from({ length: 200 }, (_, at) => `web/pod-${at}`)
  replica.writer.want(treeOf(...pods.map(pod => podTree(pod))))
  const key = endpointKey(pods.at(-1)!)
  let transactions = 0
  store.before = async write => {
    if (keysOf(write).includes(key) || ++transactions !== 2) return
    store.put(key, attached(null, ['10.1.0.1/32']))
    await quiet()
  }
  replica.lead()
  await replica.until(() => replica.completions > 0)
  t.ok(transactions > 2)
  t.match(JSON.parse(store.tree().get(key)!), { sandbox: 'sandbox-1', profile_ids: ['web_pod-199'] })
})

t.test('the plugin attaches and lets go while the controller writes', async t => {
  const { store, replica } = await complete(t)
  const key = endpointKey('web/one')
  store.put(key, attached(store.tree().get(key)!, ['10.1.0.1/32']))
  const has = (fields: object) => () =>
    JSON.stringify(
      Object.entries(fields).map(([name]) => JSON.parse(store.tree().get(key) ?? '{}')[name]),
    ) === JSON.stringify(Object.values(fields))
  await replica.until(
    has({ sandbox: 'sandbox-1', taken_over: { sandbox: 'sandbox-1', nets: ['10.1.0.1/32'] } }),
  )
  store.put(key, attached(store.tree().get(key)!, ['10.1.0.9/32'], 'sandbox-2'))
  await replica.until(has({ taken_over: { sandbox: 'sandbox-2', nets: ['10.1.0.1/32'] } }))
  t.match(JSON.parse(store.tree().get(key)!), {
    ipv4_nets: ['10.1.0.9/32'],
    labels: { 'podfence/namespace': 'web' },
  })
  store.put(key, null)
  await replica.until(() => store.tree().get(key) === TREE.get(key))
})

t.test('a pod that the plugin knows before Kubernetes tells of it', async t => {
  const clock = new FakeClock()
  const { store, replica } = await complete(t, new Map(), { clock, patienceMs: 1000 })
  const [early, left] = [endpointKey('web/early'), endpointKey('web/left')]
  store.put(early, attached(null, ['10.1.0.7/32']))
  store.put(left, attached(null, ['10.1.0.8/32']))
  await quiet()
  t.ok(store.tree().has(early))
  replica.writer.wantChanges([...podTree('web/early')].map(([key, value]) => ({ key, value })))
  await replica.until(() => /taken_over/.test(store.tree().get(early)!))
  t.match(JSON.parse(store.tree().get(early)!), { sandbox: 'sandbox-1', profile_ids: ['web_early'] })
  await clock.advance(999)
  await quiet()
  t.ok(store.tree().has(left), 'it is waited for')
  await clock.advance(1)
  await replica.until(() => !store.tree().has(left))
  t.ok(store.tree().has(early))
})

t.test('patience ends with its timer, even one that comes a fraction of a millisecond early', async t => {
  const tasks: (() => void)[] = []
  let now = 0.75
  const clock = {
    now: () => now,
    after(ms: number, task: () => void) {
      tasks.push(() => {
        now += ms - 0.5
        task()
      })
      return () => {}
    },
  }
  const [key, unit] = [endpointKey('web/left'), 'pod web/left'] as const
  const held = { value: attached(null, ['10.1.0.8/32']), modRevision: 7n }
  const late: string[] = []
  const expected = new Expected(clock, 1000, each => late.push(each))
  expected.note(unit, [key], new Map([[key, held]]))
  t.equal(expected.isOverdue(unit, key, held), false)
  for (const run of tasks) run()
  t.same(late, [unit])
  t.equal(expected.isOverdue(unit, key, held), true)
  t.equal(
    expected.isOverdue(unit, key, { ...held, modRevision: 8n }),
    false,
    'another sandbox has its own time',
  )
})

t.test('who takes Ready away gets it back after everything was compared anew', async t => {
  const { store, replica } = await complete(t)
  store.put(READY_KEY, null)
  store.put(profileKey('web/one', 'tags'), '["other"]')
  await replica.until(() => store.tree().get(READY_KEY) === 'true')
  await quiet()
  t.strictSame(treeOfStore(store), sorted(TREE, [READY]))
  t.same(keysOf(store.writes.at(-1)!), [READY_KEY])
})

t.test('the write of a holder that stood still past its lease is refused', async t => {
  const store = new FakeStore()
  const old = new Replica(t, { store, identity: 'old' })
  const next = new Replica(t, { store, identity: 'next' })
  old.writer.want(TREE)
  const opened = TREE.set.bind(new Map(TREE))(
    policyKey('web.deny'),
    policyText('all()', [{ action: 'allow' }]),
  )
  let thaw = () => {}
  store.before = write => {
    // Its first transaction after the fence is on its way when the process is stopped.
    if (keysOf(write).includes(HOLDER_KEY)) return
    store.before = () => {}
    return new Promise<void>(resolve => {
      thaw = resolve
    })
  }
  old.lead()
  while (store.writes.length === 0) await settle()
  await quiet()
  next.writer.want(opened)
  next.lead()
  await next.until(() => next.completions > 0)
  const stands = treeOfStore(store)
  t.strictSame(stands, sorted(opened, [READY]))
  old.lease.held = false
  thaw()
  await old.until(() => old.troubles.length > 0)
  t.strictSame(treeOfStore(store), stands)
  t.same(JSON.parse(store.tree().get(HOLDER_KEY)!), { identity: 'next' })
  // And with a clock that is wrong as well it only loses time.
  old.lease.held = true
  old.lease.attempt = async () => false
  await quiet()
  t.strictSame(treeOfStore(store), stands)
})

t.test('a fence that somebody removed is put up again', async t => {
  const { store, replica } = await complete(t)
  store.put(HOLDER_KEY, null)
  const policy = { key: policyKey('web.new'), value: policyText() }
  replica.writer.wantChanges([policy])
  await replica.until(() => store.tree().get(policy.key) === policy.value)
  t.ok(store.tree().has(HOLDER_KEY))
})

t.test('what etcd cannot take is told, closed, and in nobody’s way', async t => {
  const { store, replica } = await complete(t)
  const rules = Array.from({ length: 30_000 }, (_, at) => ({
    action: 'allow',
    dst_ports: [at],
    protocol: 'tcp',
  }))
  const large = { key: policyKey('web.large'), value: policyText("a == 'b'", rules) }
  const other = { key: policyKey('web.other'), value: policyText() }
  replica.writer.wantChanges([large, other])
  await replica.until(() => store.tree().has(other.key) && store.tree().has(large.key))
  t.equal(store.tree().get(large.key), policyText("a == 'b'"))
  t.same(replica.tooLarge, ['policy web.large'])
})

/** What happens in a random history: to Kubernetes, to the store by other hands, and to our requests. */
const podName = fc.constantFrom('a/one', 'a/two', 'b/one')
const net = fc.constantFrom('10.1.0.1/32', '10.1.0.2/32')
const step = fc.oneof(
  fc.record({
    what: fc.constant('pod' as const),
    pod: podName,
    node: fc.constantFrom('node1', 'node2'),
    net,
  }),
  fc.record({ what: fc.constant('pod gone' as const), pod: podName }),
  fc.record({
    what: fc.constant('policy' as const),
    name: fc.constantFrom('a.p', 'b.q'),
    selector: fc.constantFrom('x', 'y'),
  }),
  fc.record({ what: fc.constant('list' as const) }),
  fc.record({
    what: fc.constant('attach' as const),
    pod: podName,
    net,
    sandbox: fc.constantFrom('s1', 's2'),
  }),
  fc.record({ what: fc.constant('detach' as const), pod: podName }),
  fc.record({
    what: fc.constant('spoil' as const),
    key: fc.constantFrom(
      profileKey('a/one', 'rules'),
      policyKey('a.p'),
      policyKey('a.r'),
      tierKey('egress'),
      READY_KEY,
    ),
    value: fc.constantFrom(null, '', '{}'),
  }),
  fc.record({
    what: fc.constant('fail' as const),
    how: fc.constantFrom('refused' as const, 'lost' as const),
  }),
  fc.record({ what: fc.constant('other holder' as const) }),
  fc.record({ what: fc.constant('pause' as const), turns: fc.integer({ min: 1, max: 8 }) }),
)

t.test('after any history the tree is as Kubernetes wants it', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async steps => {
      const store = new FakeStore()
      const replica = new Replica(t, { store })
      const wanted = treeOf()
      let failures: ('refused' | 'lost')[] = []
      store.fail = () => failures.shift() ?? null
      replica.writer.want(wanted)
      replica.lead()
      const want = (changes: ReadonlyMap<string, string | null>) => {
        for (const [key, value] of changes)
          if (value === null) wanted.delete(key)
          else wanted.set(key, value)
        replica.writer.wantChanges([...changes].map(([key, value]) => ({ key, value })))
      }
      const without = (pod: string) =>
        [...wanted.keys()]
          .filter(key => key.includes(pod.replace('/', '.')) || key.includes(`/${pod.replace('/', '_')}/`))
          .map(key => [key, null] as const)
      for (const each of steps)
        switch (each.what) {
          case 'pod':
            want(new Map([...without(each.pod), ...podTree(each.pod, { node: each.node, nets: [each.net] })]))
            break
          case 'pod gone':
            want(new Map(without(each.pod)))
            break
          case 'policy':
            want(new Map([[policyKey(each.name), policyText(each.selector)]]))
            break
          case 'list':
            replica.writer.want(wanted)
            break
          case 'attach': {
            const key = endpointKey(each.pod)
            store.put(key, attached(store.tree().get(key) ?? null, [each.net], each.sandbox))
            break
          }
          case 'detach':
            store.put(endpointKey(each.pod), null)
            break
          case 'spoil':
            store.put(each.key, each.value)
            break
          case 'fail':
            failures.push(each.how)
            break
          case 'other holder':
            store.put(HOLDER_KEY, 'another')
            break
          case 'pause':
            for (let turns = 0; turns < each.turns; turns++) await settle()
        }
      failures = []
      const isRight = () => {
        const there = treeOfStore(store)
        if (there.get(READY_KEY) !== 'true') return false
        there.delete(READY_KEY)
        // Without its labels it is no profile of the controller's, but somebody's own.
        const hand = profileKey('a/one', 'rules')
        if (!wanted.has(hand) && !there.has(profileKey('a/one', 'labels'))) there.delete(hand)
        for (const [key, value] of there) {
          const { sandbox, taken_over, labels, profile_ids } = key.includes('/endpoint/')
            ? JSON.parse(value)
            : {}
          // What the plugin attached without a pod may still be waited for.
          if (!wanted.has(key) && sandbox !== undefined && taken_over?.sandbox !== sandbox) there.delete(key)
          if (wanted.has(key) && sandbox !== undefined) {
            const own = JSON.parse(wanted.get(key)!)
            const merged = taken_over?.sandbox === sandbox
            if (
              !merged ||
              JSON.stringify([labels, profile_ids]) !== JSON.stringify([own.labels, own.profile_ids])
            )
              return false
            there.set(key, wanted.get(key)!)
          }
        }
        return JSON.stringify([...there]) === JSON.stringify([...sorted(wanted)])
      }
      for (let rounds = 0; rounds < 1000 && !isRight(); rounds++)
        await QUICK.wait(1, new AbortController().signal)
      await quiet()
      const { length } = store.writes
      await quiet()
      const stays = store.writes.length === length && isRight()
      await replica.close()
      return stays
    }),
    { numRuns: 100 },
  )
})
