import t, { type Test } from 'tap'
import { whileLeading } from '../../src/source/kubernetes/leadership.ts'
import { Lease } from '../../src/source/kubernetes/lease.ts'
import {
  claimedLease,
  type LeaseObject,
  type LeaseSpec,
  leaseStep,
  observe,
  releasedLease,
} from '../../src/source/kubernetes/lease-step.ts'
import { FakeApiServer, status } from './support/fake-api-server.ts'
import { openApi, until } from './support/kubernetes-heard.ts'

t.setTimeout(300_000)

const PLACE = { namespace: 'kube-system', name: 'podfence' }
const EPOCH = '1970-01-01T00:00:00.000000Z'

function held(spec: LeaseSpec): LeaseObject {
  return { metadata: { ...PLACE, resourceVersion: '7', labels: { a: 'b' } }, spec }
}

t.test('what may be done with a lease', async t => {
  const other = held({ holderIdentity: 'other', leaseDurationSeconds: 15, renewTime: EPOCH })
  const seen = (lease: LeaseObject, since: number) => observe(null, lease, since)
  for (const [what, lease, since, now, step] of [
    ['there is none', null, 0, 0, 'create'],
    ['it is ours', held({ holderIdentity: 'self' }), 0, 0, 'renew'],
    ['it is ours and long over', held({ holderIdentity: 'self', renewTime: EPOCH }), 0, 1e9, 'renew'],
    ['nobody holds it', held({ holderIdentity: '' }), 0, 0, 'take'],
    ['nobody ever held it', { metadata: {} }, 0, 0, 'take'],
    // Whatever its renewTime says: that is another machine's clock.
    ['it is first seen', other, 100, 100, 'wait'],
    ['it did not change for nearly its duration', other, 100, 15_099, 'wait'],
    ['it did not change for its duration', other, 100, 15_100, 'take'],
    ['its duration is not said', held({ holderIdentity: 'other' }), 0, 59_999, 'wait'],
    ['nor then for ever', held({ holderIdentity: 'other' }), 0, 60_000, 'take'],
  ] as const)
    t.equal(leaseStep(lease, lease && seen(lease, since), 'self', now), step, what)
  t.equal(leaseStep(other, null, 'self', 1e9), 'wait', 'what was not looked at is not over')
})

t.test('an observation lasts as long as the lease stays as it is', async t => {
  const first = held({ holderIdentity: 'other', renewTime: EPOCH })
  const before = observe(null, first, 10)
  t.same(
    before,
    observe(before, { ...first, metadata: { resourceVersion: '8' } }, 20),
    'a label is no sign of life',
  )
  t.equal(observe(before, held({ holderIdentity: 'other', renewTime: 'later' }), 20)?.since, 20)
  t.equal(observe(before, null, 20), null)
})

t.test('a lease as it is written', async t => {
  const self = { ...PLACE, identity: 'self' }
  const at = new Date(0)
  const mine = { holderIdentity: 'self', leaseDurationSeconds: 15, renewTime: EPOCH }
  t.same(claimedLease(null, self, 'create', at, 14_500), {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: PLACE,
    spec: { ...mine, acquireTime: EPOCH, leaseTransitions: 0 },
  })
  const other = held({ holderIdentity: 'other', acquireTime: 'then', leaseTransitions: 4 })
  t.match(claimedLease(other, self, 'take', at, 15_000), {
    metadata: other.metadata,
    spec: { ...mine, acquireTime: EPOCH, leaseTransitions: 5 },
  })
  const ours = held({ holderIdentity: 'self', acquireTime: 'then', leaseTransitions: 4 })
  t.match(claimedLease(ours, self, 'renew', at, 15_000), {
    spec: { ...mine, acquireTime: 'then', leaseTransitions: 4 },
  })
  t.match(releasedLease(ours, at), {
    metadata: ours.metadata,
    spec: { holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 4 },
  })
})

/** Two candidates with a clock of their own each, which only the test moves. */
async function candidates(t: Test) {
  const fake = await FakeApiServer.start(t)
  const candidate = (identity: string) => {
    const clock = { now: 0 }
    const lease = new Lease(openApi(t, fake), { ...PLACE, identity, now: () => clock.now })
    return { clock, lease }
  }
  return { fake, a: candidate('a'), b: candidate('b') }
}

t.test('one holds it; the other waits for its whole duration, by its own clock', async t => {
  const { a, b } = await candidates(t)
  b.clock.now = 1e6
  t.equal(await a.lease.attempt(), true)
  t.equal(await b.lease.attempt(), false)
  t.equal(b.lease.holder, 'a')
  b.clock.now += 14_000
  t.equal(await a.lease.attempt(), true, 'renewed')
  t.equal(await b.lease.attempt(), false)
  b.clock.now += 14_999
  t.equal(await b.lease.attempt(), false)
  a.clock.now += 9_999
  t.equal(a.lease.held, true)
  a.clock.now += 1
  t.equal(a.lease.held, false, 'it gives up long before others take over')
  b.clock.now += 1
  t.equal(await b.lease.attempt(), true)
  t.equal(await a.lease.attempt(), false)
  t.equal(a.lease.holder, 'b')
})

t.test('a lease that is given back is free at once', async t => {
  const { a, b } = await candidates(t)
  await a.lease.attempt()
  await b.lease.release()
  t.equal(await b.lease.attempt(), false, 'nobody gives back what is not its own')
  await a.lease.release()
  t.equal(a.lease.held, false)
  t.equal(await b.lease.attempt(), true)
})

t.test('of two that take it at the same moment one gets it', async t => {
  const { fake, a, b } = await candidates(t)
  t.same([await a.lease.attempt(), await a.lease.release()], [true, undefined])
  // Both have read it before either writes.
  let reads = 0
  const both = new Promise<void>(resolve => {
    fake.intercept = ({ method }) => {
      if (method === 'GET' && ++reads === 2) resolve()
      return false
    }
  })
  const wait = fake.before
  fake.before = async ({ method }) => {
    if (method === 'PUT') await both
  }
  const won = await Promise.all([a.lease.attempt(), b.lease.attempt()])
  t.same(won.toSorted(), [false, true])
  fake.before = wait
  t.not(a.lease.held, b.lease.held)
})

t.test('two attempts of one holder at the same moment both find it held', async t => {
  const { fake, a } = await candidates(t)
  for (const method of ['POST', 'PUT']) {
    // Both have read it before either writes.
    let reads = 0
    let go = () => {}
    const both = new Promise<void>(resolve => {
      go = resolve
    })
    fake.before = async request => {
      if (request.method === 'GET' && ++reads === 2) setTimeout(go, 20)
      if (request.method === method) await both
    }
    t.same(await Promise.all([a.lease.attempt(), a.lease.attempt()]), [true, true], method)
    t.equal(a.lease.held, true)
  }
})

t.test('an answer that is lost is no hold', async t => {
  const { fake, a } = await candidates(t)
  fake.intercept = ({ method }, response) => {
    if (method !== 'POST') return false
    status(response, 500, 'InternalError', 'etcdserver: request timed out')
    return true
  }
  await t.rejects(a.lease.attempt(), { status: 500, message: /timed out/ })
  t.equal(a.lease.held, false)
})

t.test('work runs while the lease is held, and nowhere else', async t => {
  const fake = await FakeApiServer.start(t)
  let running = 0
  let most = 0
  const order: string[] = []
  const candidate = (identity: string) => {
    const clock = { now: 0 }
    const stop = new AbortController()
    const lease = new Lease(openApi(t, fake), { ...PLACE, identity, now: () => clock.now })
    const work = async (signal: AbortSignal) => {
      running += 1
      most = Math.max(most, running)
      order.push(identity)
      await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }))
      running -= 1
    }
    const ended = whileLeading(lease, work, stop.signal, { everyMs: 10 })
    return { stop: () => stop.abort(), ended, lease, clock }
  }
  const a = candidate('a')
  await until(() => running === 1)
  const b = candidate('b')
  await until(() => b.lease.holder === 'a')
  a.stop()
  await a.ended
  await until(() => order.length === 2)
  const c = candidate('c')
  await until(() => c.lease.holder === 'b')
  // b cannot renew any more: it stops by itself, and another one takes over when its time has passed.
  fake.intercept = ({ method, body }, response) => {
    if (method !== 'PUT' || (body as LeaseObject).spec?.holderIdentity !== 'b') return false
    status(response, 500, 'InternalError', 'no')
    return true
  }
  b.clock.now += 10_000
  await until(() => running === 0)
  // It may not have seen b's last sign yet, and counts from when it does.
  await until(() => {
    c.clock.now += 1000
    return order.length === 3
  })
  t.same(order, ['a', 'b', 'c'])
  t.equal(most, 1)
  b.stop()
  c.stop()
  await Promise.all([b.ended, c.ended])
  t.equal(running, 0)
})

t.test('what the work throws ends it, and gives the lease back', async t => {
  const { fake, a, b } = await candidates(t)
  const states: unknown[] = []
  const work = async () => {
    throw new Error('a fault')
  }
  const run = whileLeading(a.lease, work, new AbortController().signal, {
    changed: state => states.push(state),
  })
  await t.rejects(run, { message: 'a fault' })
  t.same(states, [
    { leading: true, holder: 'a' },
    { leading: false, holder: 'a' },
  ])
  t.equal(await b.lease.attempt(), true)
  t.ok(fake.requests.length > 0)
})
