import t from 'tap'
import { FormerConnections } from '../../src/runtime/former-connections.ts'
import { FakeClock, settle } from './support/fake-clock.ts'

const NONE: ReadonlySet<string> = new Set()

/** `hold`: each end waits for `release`; `fail`: so many of them fail. */
function bench({ hold = false, fail = 0 } = {}) {
  const asked: string[][] = []
  const failures: unknown[] = []
  const waiting: (() => void)[] = []
  const clock = new FakeClock()
  let failing = fail
  const former = new FormerConnections({
    cutter: {
      async end(addresses) {
        asked.push([...addresses].sort())
        if (failing-- > 0) throw new Error('no conntrack')
        if (hold) await new Promise<void>(resolve => waiting.push(resolve))
        return 1
      },
    },
    clock,
    failed: error => failures.push(error),
  })
  const before = (got: string[], taken: string[] = []) => {
    const outcome = { done: false }
    void former.before(new Set(got), new Set(taken)).then(() => {
      outcome.done = true
    })
    return outcome
  }
  return { former, asked, failures, clock, before, release: () => waiting.shift()?.() }
}

t.test('an address that is given up', async t => {
  const { former, asked } = bench()
  former.left(NONE)
  await settle()
  t.same(asked, [])
  former.left(new Set(['a', 'b']))
  await settle()
  t.same(asked, [['a', 'b']])
  await former.before(new Set(['a']), NONE)
  t.same(asked, [['a', 'b']], 'is done with')
})

t.test('a new owner waits until what is open is ended, and for nothing else', async t => {
  const { former, asked, before, release } = bench({ hold: true })
  const fresh = before(['a'])
  await settle()
  t.same([fresh.done, asked], [true, []], 'nobody had it')
  const taken = before(['a', 'b'], ['b'])
  await settle()
  t.same([taken.done, asked], [false, [['b']]])
  release()
  await settle()
  t.ok(taken.done)
  former.left(new Set(['c', 'd']))
  await settle()
  const heir = before(['c'])
  await settle()
  t.same([heir.done, asked.length], [false, 2], 'its last connections are being ended')
  release()
  await settle()
  t.same([heir.done, asked], [true, [['b'], ['c', 'd']]], 'once is enough')
})

t.test('what cannot be ended is tried again, but not once the address has a new owner', async t => {
  const { former, asked, failures, clock } = bench({ fail: 3 })
  former.left(new Set(['a', 'b']))
  await settle()
  t.same([asked, failures.length], [[['a', 'b']], 1])
  await former.before(new Set(['a']), NONE)
  t.same([asked.at(-1), failures.length], [['a'], 2], 'the new owner does not wait for ever')
  await clock.advance(300)
  t.same(asked.at(-1), ['b'])
  await clock.advance(1000)
  t.same(asked.at(-1), ['b'])
  t.equal(failures.length, 3)
  await clock.advance(60_000)
  t.equal(asked.length, 4)
})
