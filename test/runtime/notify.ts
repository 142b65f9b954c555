import t from 'tap'
import { Notifier } from '../../src/runtime/notify.ts'
import { FakeClock } from './support/fake-clock.ts'

const env = { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '20000000', WATCHDOG_PID: '7' }

/** A notifier, and what it said since one last asked. `answer` is how systemd-notify ends. */
function played(variables: Readonly<Record<string, string>> = env, pid = 7) {
  const clock = new FakeClock()
  const calls: string[][] = []
  const play = { answer: async (): Promise<{ code: number | null }> => ({ code: 0 }) }
  const notifier = new Notifier({
    env: variables,
    run: (file, args) => {
      calls.push([file, ...args])
      return play.answer()
    },
    clock,
    pid,
  })
  return { clock, notifier, play, said: () => calls.splice(0).map(call => call.join(' ')) }
}

t.test('systemd hears the latest state, once a second at most', async t => {
  const { clock, notifier, said } = played()
  notifier.status('waiting')
  await notifier.ready('in sync')
  t.same(said(), ['systemd-notify --status=waiting', 'systemd-notify --ready --status=in sync'])
  notifier.status('in sync')
  notifier.status('two\nREADY=1')
  notifier.status('three')
  t.same(said(), [])
  await clock.advance(3000)
  t.same(said(), ['systemd-notify --ready --status=three'])
  notifier.status('four')
  await clock.advance(0)
  notifier.status('five\n\u001b[2JREADY=1')
  await clock.advance(1000)
  t.same(said(), ['systemd-notify --ready --status=four', 'systemd-notify --ready --status=five [2JREADY=1'])
  await clock.advance(10_000)
  await notifier.stopping()
  t.same(said(), ['systemd-notify --no-block STOPPING=1'])
})

t.test('progress is told each time, also while the state stays', async t => {
  const { clock, notifier, said } = played()
  t.equal(notifier.watchdogEvery, 10_000)
  await notifier.ready('in sync')
  await clock.advance(1000)
  said()
  for (let beat = 0; beat < 2; beat++) {
    notifier.watchdog()
    await clock.advance(10_000)
    t.same(said(), ['systemd-notify --ready --status=in sync WATCHDOG=1'])
  }
})

t.test('what systemd was too late to look at is said again until it is received', async t => {
  const { clock, notifier, play, said } = played()
  play.answer = async () => ({ code: 1 })
  await notifier.ready('in sync')
  notifier.watchdog()
  await clock.advance(2000)
  t.same(said(), [
    'systemd-notify --ready --status=in sync',
    'systemd-notify --ready --status=in sync WATCHDOG=1',
    'systemd-notify --ready --status=in sync WATCHDOG=1',
  ])
  notifier.status('enforcing')
  play.answer = async () => ({ code: 0 })
  await clock.advance(5000)
  t.same(said(), ['systemd-notify --ready --status=enforcing WATCHDOG=1'])
})

t.test('what got no receipt may have been taken all the same, so what held before is said again', async t => {
  const { clock, notifier, play, said } = played()
  await notifier.ready('in sync')
  await clock.advance(1000)
  play.answer = async () => ({ code: 1 })
  notifier.status('away')
  await clock.advance(0)
  notifier.status('in sync')
  play.answer = async () => ({ code: 0 })
  said()
  await clock.advance(2000)
  t.same(said(), ['systemd-notify --ready --status=in sync'])
})

t.test('one message is under way at a time; what happens meanwhile is in the next', async t => {
  const { clock, notifier, play, said } = played()
  let receive: (ended: { code: number }) => void = () => {}
  play.answer = () =>
    new Promise(resolve => {
      receive = resolve
    })
  notifier.status('one')
  notifier.status('two')
  const ready = notifier.ready('three')
  notifier.watchdog()
  await clock.advance(5000)
  t.same(said(), ['systemd-notify --status=one'])
  receive({ code: 0 })
  await clock.advance(0)
  t.same(said(), ['systemd-notify --ready --status=three WATCHDOG=1'], 'READY waits for no pause')
  receive({ code: 0 })
  await ready
  await clock.advance(5000)
  t.same(said(), [])
})

t.test('nothing is said without a socket, and nothing thrown without systemd-notify', async t => {
  const silent = played({ WATCHDOG_USEC: '1000000' })
  silent.notifier.status('x')
  silent.notifier.watchdog()
  await silent.notifier.ready('x')
  await silent.notifier.stopping()
  t.same([silent.notifier.watchdogEvery, silent.said()], [null, []])
  t.equal(played(env, 8).notifier.watchdogEvery, null, "another process's watchdog is not ours")
  const { notifier, play } = played()
  play.answer = () => Promise.reject(new Error('no such program'))
  await t.resolves(notifier.ready('x'))
  await t.resolves(notifier.stopping())
})
