import t from 'tap'
import type { Judge } from '../../src/kernel/cut.ts'
import { FormerConnections } from '../../src/runtime/former-connections.ts'
import { FakeClock, settle } from './support/fake-clock.ts'

const NONE: ReadonlySet<string> = new Set()

const JUDGE: Judge = () => 'deny'
const FULL = { line: 'add podf-cut-4 10.0.0.2,udp:53,10.0.0.1', said: 'Hash is full' }

/** `hold`: each end waits for `release`; `fail`: so many of them fail; `full`: the cut sets take no more. */
function bench({ hold = false, fail = 0, full = false } = {}) {
  const asked: string[][] = []
  const judges: (Judge | null)[] = []
  const failures: unknown[] = []
  const unclosed: unknown[] = []
  const waiting: (() => void)[] = []
  const clock = new FakeClock()
  let failing = fail
  const former = new FormerConnections({
    cutter: {
      async end(addresses, judge) {
        asked.push([...addresses].sort())
        judges.push(judge)
        if (failing-- > 0) throw new Error('no conntrack')
        if (hold) await new Promise<void>(resolve => waiting.push(resolve))
        return { connections: 1, unclosed: full ? [FULL] : [] }
      },
    },
    judge: () => JUDGE,
    clock,
    unclosed: some => unclosed.push(...some),
    failed: error => failures.push(error),
  })
  const end = (...addresses: string[]) => {
    const outcome = { done: false }
    void former.end(new Set(addresses)).then(() => {
      outcome.done = true
    })
    return outcome
  }
  const due = (got: string[], taken: string[] = []) => [...former.due(new Set(got), new Set(taken))]
  return { former, asked, judges, failures, unclosed, clock, end, due, release: () => waiting.shift()?.() }
}

t.test('an address that is given up', async t => {
  const { former, asked, due } = bench()
  former.left(NONE)
  await settle()
  t.same(asked, [])
  former.left(new Set(['a', 'b']))
  await settle()
  t.same(asked, [['a', 'b']])
  t.same(due(['a']), [], 'is done with')
})

t.test('of what is got, that is due which another had, or of which the end is under way', async t => {
  const { former, asked, due, end, release } = bench({ hold: true })
  t.same(due(['a']), [], 'nobody had it')
  t.same(due(['a', 'b'], ['b']), ['b'])
  former.left(new Set(['c', 'd']))
  await settle()
  t.same(due(['c', 'e']), ['c'])
  const heir = end('c')
  await settle()
  t.same([heir.done, asked.length], [false, 1], 'one end at a time')
  release()
  await settle()
  t.same([heir.done, asked], [false, [['c', 'd'], ['c']]], 'what came since is ended too')
  release()
  await settle()
  t.ok(heir.done)
  t.same(due(['c', 'd']), [])
})

t.test('what cannot be ended is tried again, but not once the address has a new owner', async t => {
  const { former, asked, failures, clock } = bench({ fail: 3 })
  former.left(new Set(['a', 'b']))
  await settle()
  t.same([asked, failures.length], [[['a', 'b']], 1])
  await former.end(new Set(['a']))
  t.same([asked.at(-1), failures.length], [['a'], 2], 'the new owner does not wait for ever')
  await clock.advance(300)
  t.same(asked.at(-1), ['b'])
  await clock.advance(1000)
  t.same(asked.at(-1), ['b'])
  t.equal(failures.length, 3)
  await clock.advance(60_000)
  t.equal(asked.length, 4)
})

t.test("what a new owner may not have is closed, and a former one's is not judged", async t => {
  const { former, judges, unclosed, end } = bench({ full: true })
  former.left(new Set(['a']))
  await settle()
  end('b')
  await settle()
  t.same(judges, [null, JUDGE])
  t.same(unclosed, [FULL, FULL])
})
