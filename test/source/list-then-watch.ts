import t from 'tap'
import type { SourceEvent } from '../../src/source/event.ts'
import { type Feed, ListThenWatch, type WatchObserver } from '../../src/source/list-then-watch.ts'
import type { Pace } from '../../src/source/pace.ts'
import { backOff } from '../../src/source/pace.ts'
import { HistoryGone } from '../../src/source/store.ts'

type Step = (observer: WatchObserver<number>, from: number) => string | Promise<string>

/** A store by script: what each listing and each watch does, in order; after the last watch the loop is stopped. */
async function play(lists: (number | Error)[], watches: Step[]) {
  const events: SourceEvent[] = []
  const waits: number[] = []
  const froms: number[] = []
  const stop = new AbortController()
  const feed: Feed<number> = {
    name: 'script',
    list: async () => {
      const next = lists.shift()
      if (next === undefined) stop.abort()
      if (next instanceof Error) throw next
      const position = next ?? 0
      return { entries: new Map([['list', String(position)]]), revision: String(position), position }
    },
    watch: async (from, observer) => {
      froms.push(from)
      const step = watches.shift()
      if (!step) {
        stop.abort()
        return 'stopped'
      }
      return await step(observer, from)
    },
  }
  const pace: Pace = { wait: async failures => void waits.push(failures), now: () => 0, isLong: () => false }
  const loop = new ListThenWatch(feed, pace)
  await loop.run(event => events.push(event), stop.signal)
  const words = events.map(event =>
    event.kind === 'connection'
      ? `${event.connected ? '+' : '-'} ${event.reason}`
      : event.kind === 'snapshot'
        ? `list ${event.revision}`
        : `changes ${event.changes.map(({ key }) => key)} @${event.revision}`,
  )
  return { words, waits, froms, loop }
}

const broken =
  (reason = 'broken') =>
  () =>
    Promise.reject(new Error(reason))
const told =
  (position: number, ...keys: string[]) =>
  (observer: WatchObserver<number>) => {
    observer.established()
    observer.moved(
      position,
      String(position),
      keys.map(key => ({ key, value: '1' })),
    )
  }

t.test('a broken connection goes on at the last position told', async t => {
  const { words, froms } = await play(
    [5],
    [
      async observer => {
        told(7, 'a')(observer)
        told(9)(observer)
        throw new Error('reset')
      },
      broken('refused'),
      broken('refused'),
      async observer => {
        told(11, 'b')(observer)
        return await broken('reset')()
      },
    ],
  )
  t.same(froms, [5, 9, 9, 9, 11])
  t.same(words, [
    '+ script',
    'list 5',
    'changes a @7',
    '- reset',
    '- refused',
    '+ script',
    'changes b @11',
    '- reset',
  ])
})

t.test('a doubt lists again, from whatever revision the store has now', async t => {
  const { words, froms } = await play(
    [5, 3],
    [() => 'compacted', () => Promise.reject(new HistoryGone('future'))],
  )
  t.same(froms, [5, 3])
  t.same(words, ['+ script', 'list 5', '+ listing again: compacted', 'list 3', '+ listing again: future'])
})

t.test('waits grow while nothing moves, and begin anew when something did', async t => {
  const { waits } = await play(
    [new Error('x'), new Error('x'), 1, 2, 3],
    [
      () => 'doubt',
      () => 'doubt',
      broken(),
      broken(),
      async observer => {
        told(4)(observer)
        return await broken()()
      },
      broken(),
    ],
  )
  t.same(waits, [1, 2, 3, 4, 5, 6, 1, 2])
})

t.test('a relist ends the watch and needs no wait, but in a storm of them', async t => {
  let lists = 0
  let now = 0
  const stop = new AbortController()
  const waits: number[] = []
  const pace: Pace = {
    wait: async tries => void waits.push(tries),
    now: () => now,
    isLong: began => now - began > 3000,
  }
  const feed: Feed<number> = {
    name: 'script',
    list: async () => ({ entries: new Map(), revision: '1', position: ++lists }),
    watch: (_, observer, signal) =>
      new Promise(resolve => {
        signal.addEventListener('abort', () => resolve('stopped'))
        observer.moved(0, '2', [{ key: 'Ready', value: 'true' }])
      }),
  }
  const loop = new ListThenWatch(feed, pace)
  await loop.run(event => {
    if (event.kind !== 'changes') return
    // The fifth is asked for long after the fourth.
    now += lists === 4 ? 4000 : 10
    if (lists < 6) loop.relist('asked')
    else stop.abort()
  }, stop.signal)
  t.equal(lists, 6)
  t.same(waits, [1, 2, 1])
})

t.test('a relist during the wait after a failure is no less one', async t => {
  const stop = new AbortController()
  let lists = 0
  let watches = 0
  const pace: Pace = {
    wait: async () => {
      if (watches === 1) loop.relist('asked for')
    },
    now: () => 0,
    isLong: () => true,
  }
  const feed: Feed<number> = {
    name: 'script',
    list: async () => ({ entries: new Map(), revision: '1', position: ++lists }),
    watch: async () => {
      if (++watches > 1) stop.abort()
      throw new Error('broken')
    },
  }
  const loop = new ListThenWatch(feed, pace)
  await loop.run(() => {}, stop.signal)
  t.equal(lists, 2)
})

t.test('what the listener throws ends the run and is not taken for a lost connection', async t => {
  const feed: Feed<number> = {
    name: 'script',
    list: async () => ({ entries: new Map(), revision: '1', position: 1 }),
    watch: async (_, observer) => {
      observer.moved(2, '2', [{ key: 'a', value: '1' }])
      return 'never'
    },
  }
  for (const kind of ['snapshot', 'changes', 'connection']) {
    const told: string[] = []
    const run = new ListThenWatch(feed, backOff).run(event => {
      told.push(event.kind)
      if (event.kind === kind) throw new Error(`listener ${kind}`)
    }, new AbortController().signal)
    await t.rejects(run, { message: `listener ${kind}` })
    t.equal(told.at(-1), kind)
  }
})

t.test('a store that never answers does not hold up the end, nor a relist', async t => {
  const stop = new AbortController()
  let lists = 0
  const feed: Feed<number> = {
    name: 'script',
    list: () => {
      lists += 1
      setImmediate(() => (lists === 1 ? loop.relist('asked') : stop.abort()))
      return new Promise(() => undefined)
    },
    watch: () => new Promise(() => undefined),
  }
  const events: SourceEvent[] = []
  const loop = new ListThenWatch(feed, backOff)
  await loop.run(event => events.push(event), stop.signal)
  t.equal(lists, 2)
  t.same(events, [])
})

t.test('an aborted wait is over', async t => {
  await backOff.wait(1, AbortSignal.abort())
  const before = backOff.now()
  t.equal(backOff.isLong(before), false)
  t.equal(backOff.isLong(before - 60_000), true)
})
