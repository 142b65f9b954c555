import t from 'tap'
import { Health } from '../../src/runtime/health.ts'
import { Pace } from '../../src/runtime/pace.ts'
import { Watchdog } from '../../src/runtime/watchdog.ts'
import { FakeClock, settle } from './support/fake-clock.ts'

/** A pace whose steps end when the test says so. */
function setUp(credit?: { steps: number; every: number }) {
  const clock = new FakeClock()
  const steps: number[] = []
  const failures: [string, number][] = []
  const ends: ((error?: Error) => void)[] = []
  const pace = new Pace({
    clock,
    firstPause: 100,
    longestPause: 1000,
    ...(credit === undefined ? {} : { credit }),
    failed: (error, pause) => failures.push([(error as Error).message, pause]),
    step: () => {
      steps.push(steps.length + 1)
      return new Promise((resolve, reject) => {
        ends.push(error => (error === undefined ? resolve() : reject(error)))
      })
    },
  })
  /** Ends the step that is under way. */
  const end = async (error?: string) => {
    ends.shift()!(error === undefined ? undefined : new Error(error))
    await settle()
  }
  return { clock, steps, failures, pace, end }
}

t.test('the first change goes at once, and what comes meanwhile goes together', async t => {
  const { steps, pace, end } = setUp()
  pace.poke()
  t.same(steps, [1], 'the step has begun before poke returned')
  pace.poke()
  pace.poke()
  pace.poke()
  t.same(steps, [1])
  await end()
  t.same(steps, [1, 2], 'three changes are one further step')
  await end()
  t.same(steps, [1, 2])
})

t.test('a storm of changes is few steps, single changes go at once', async t => {
  const { clock, steps, pace, end } = setUp({ steps: 2, every: 25 })
  for (const expected of [1, 2]) {
    pace.poke()
    t.equal(steps.length, expected, 'at once')
    await end()
  }
  pace.poke()
  pace.poke()
  t.equal(steps.length, 2, 'the credit is used up')
  t.equal(clock.pending, 25)
  await clock.advance(10)
  pace.poke()
  t.equal(clock.pending, 15, 'another change does not make the first wait longer')
  await clock.advance(15)
  t.equal(steps.length, 3)
  pace.poke()
  await end()
  t.equal(steps.length, 3, 'what came during a step waits likewise')
  await clock.advance(25)
  t.equal(steps.length, 4)
  await end()
  await clock.advance(1000)
  for (const expected of [5, 6]) {
    pace.poke()
    t.equal(steps.length, expected, 'after a rest the credit is whole, and no more than that')
    await end()
  }
  pace.poke()
  t.equal(steps.length, 6)
  await pace.stop()
  await clock.advance(1000)
  t.equal(steps.length, 6, 'nothing begins after the stop')
})

t.test(
  'a failure is tried again after a pause that grows up to its limit, and a success forgets it',
  async t => {
    const { clock, steps, failures, pace, end } = setUp()
    pace.poke()
    for (const pause of [100, 200, 400, 800, 1000, 1000]) {
      await end('no')
      t.equal(clock.pending, pause)
      await clock.advance(pause)
    }
    t.equal(steps.length, 7)
    t.same(
      failures.map(([, pause]) => pause),
      [100, 200, 400, 800, 1000, 1000],
    )
    await end()
    t.equal(clock.pending, null, 'nothing is left to do')
    pace.poke()
    await end('again')
    t.equal(clock.pending, 100, 'the pauses begin anew')
  },
)

t.test('a change in a long pause waits for no more than the first pause since the failure', async t => {
  const { clock, steps, pace, end } = setUp()
  pace.poke()
  await end('1')
  await clock.advance(100)
  await end('2')
  await clock.advance(200)
  await end('3')
  t.equal(clock.pending, 400)
  await clock.advance(30)
  pace.poke()
  t.equal(clock.pending, 70)
  await clock.advance(70)
  t.equal(steps.length, 4)
  await end('4')
  await clock.advance(500)
  pace.poke()
  t.equal(clock.pending, 0, 'longer ago: at once')
})

t.test('a change during a step that fails is tried after the first pause', async t => {
  const { clock, steps, pace, end } = setUp()
  pace.poke()
  await end('1')
  await clock.advance(100)
  pace.poke()
  await end('2')
  t.equal(clock.pending, 100)
  await clock.advance(100)
  t.equal(steps.length, 3)
})

t.test('stop waits for the step under way and lets no other begin', async t => {
  const { clock, steps, pace, end } = setUp()
  pace.poke()
  pace.poke()
  let stopped = false
  const stopping = pace.stop().then(() => {
    stopped = true
  })
  await settle()
  t.equal(stopped, false)
  await end()
  await stopping
  pace.poke()
  await clock.advance(1000)
  t.same(steps, [1])
})

t.test('a step may poke its own pace', async t => {
  const clock = new FakeClock()
  let runs = 0
  const pace: Pace = new Pace({
    clock,
    firstPause: 1,
    longestPause: 1,
    failed: () => {},
    step: async () => {
      if (++runs < 3) pace.poke()
    },
  })
  pace.poke()
  await settle()
  t.equal(runs, 3)
})

t.test('health: unready until every part has reported well, with what and since when', t => {
  const clock = new FakeClock()
  const health = new Health(clock, () => Date.UTC(2026, 0, 1) + clock.now())
  t.equal(health.answer('readiness').healthy, false)
  t.equal(health.answer('liveness').healthy, true)
  for (const part of ['sync', 'apply', 'source'] as const) health.report(part, null)
  t.equal(health.answer('readiness').healthy, true)
  clock.advance(2000)
  health.report('apply', 'the kernel refused a chain')
  clock.advance(500)
  health.report('apply', 'the kernel refused two chains')
  t.same(health.answer('readiness'), {
    healthy: false,
    parts: [
      { name: 'sync', healthy: true, reason: null, since: '2026-01-01T00:00:01.000Z' },
      {
        name: 'apply',
        healthy: false,
        reason: 'the kernel refused two chains',
        since: '2026-01-01T00:00:03.000Z',
      },
      { name: 'source', healthy: true, reason: null, since: '2026-01-01T00:00:01.000Z' },
    ],
  })
  t.equal(health.answer('liveness').healthy, true, 'no restart mends that')
  health.report('progress', 'the apply stands still')
  t.equal(health.answer('liveness').healthy, false)
  t.end()
})

t.test('health: a fault within its grace is named and does not count', async t => {
  const clock = new FakeClock()
  const health = new Health(clock)
  for (const part of ['sync', 'apply', 'source'] as const) health.report(part, null)
  health.report('source', 'etcd is away', 1000)
  await clock.advance(600)
  health.report('source', 'etcd is still away', 1000)
  t.equal(health.answer('readiness').healthy, true)
  t.match(health.answer('readiness').parts, [{}, {}, { name: 'source', reason: 'etcd is still away' }])
  await clock.advance(400)
  t.equal(health.answer('readiness').healthy, false, 'a further report does not begin the grace anew')
  health.report('source', null)
  t.equal(health.answer('readiness').healthy, true)
})

t.test('watchdog: long work may last, work that stands still may not', async t => {
  const clock = new FakeClock()
  const watchdog = new Watchdog(clock, 1000)
  watchdog.progress('apply')
  for (let step = 0; step < 10; step++) {
    await clock.advance(900)
    t.equal(watchdog.stuck(), null)
    watchdog.progress('apply')
  }
  await clock.advance(2500)
  t.equal(watchdog.stuck(), 'apply has made no progress for 2 s')
  watchdog.ended('apply')
  t.equal(watchdog.stuck(), null)
})
