import t from 'tap'
import { TableWatch } from '../../src/runtime/table-watch.ts'
import { FakeClock } from './support/fake-clock.ts'

/** A watch whose looks take as long as the test says, and when each was begun. */
function setUp() {
  const clock = new FakeClock()
  const start = clock.now()
  const looks: number[] = []
  const state = { takes: 0, succeeds: true }
  const look = async () => {
    looks.push(clock.now() - start)
    // A clock of its own time: the look is over when that has passed.
    await new Promise<void>(resolve => void clock.after(state.takes, resolve))
    return state.succeeds
  }
  return { clock, looks, state, watch: new TableWatch({ clock, look }) }
}

t.test('nothing is looked at before the start, then every second', async t => {
  const { clock, looks, watch } = setUp()
  await clock.advance(5000)
  t.same(looks, [])
  watch.start()
  await clock.advance(3000)
  t.same(looks, [6000, 7000, 8000])
})

t.test('after a look comes a pause of a hundred times its length, of five seconds at most', async t => {
  const { clock, looks, state, watch } = setUp()
  watch.start()
  state.takes = 20
  await clock.advance(1000 + 20 + 2000)
  t.same(looks, [1000, 3020])
  state.takes = 3000
  await clock.advance(20 + 2000 + 3000 + 5000)
  t.same(looks.slice(2), [5040, 13_040])
})

t.test('a look that fails is not repeated each second', async t => {
  const { clock, looks, state, watch } = setUp()
  watch.start()
  state.succeeds = false
  await clock.advance(6000)
  t.same(looks, [1000, 6000])
  state.succeeds = true
  await clock.advance(6000)
  t.same(looks.slice(2), [11_000, 12_000])
})

t.test('when it is stopped nothing begins any more, also after a look that was under way', async t => {
  const { clock, looks, state, watch } = setUp()
  watch.start()
  state.takes = 100
  await clock.advance(1050)
  watch.stop()
  await clock.advance(60_000)
  t.same(looks, [1000])
  t.equal(clock.pending, null)
})
