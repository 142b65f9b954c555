import { EventEmitter } from 'node:events'
import t from 'tap'
import { type AgentNotes, newNotes, statusLine } from '../../src/runtime/agent-status.ts'
import { eventLoopLag } from '../../src/runtime/event-loop-lag.ts'
import { createLog, logOptions, readable } from '../../src/runtime/log.ts'
import { Closers, onShutdown } from '../../src/runtime/shutdown.ts'

/** A log that keeps its lines. */
function kept(format: 'json' | 'text', journal: boolean) {
  const lines: string[] = []
  const levels: number[] = []
  const output = { write: (line: string) => lines.push(line) }
  const log = createLog({ level: 'debug', format, journal }, output, level => levels.push(level))
  return { lines, levels, log }
}

t.test('JSON lines with level words and the fields of everywhere', t => {
  const { lines, levels, log } = kept('json', false)
  log.child({ component: 'kernel' }).info({ revision: '12', ms: 3.5, changed: 2 }, 'applied')
  log.trace('not this')
  log.error({ err: new Error('no') }, 'failed')
  t.match(JSON.parse(lines[0]!), {
    level: 'info',
    time: /^\d{4}-\d\d-\d\dT.*Z$/,
    component: 'kernel',
    revision: '12',
    ms: 3.5,
    changed: 2,
    msg: 'applied',
  })
  t.notOk('pid' in JSON.parse(lines[0]!))
  t.match(JSON.parse(lines[1]!), { level: 'error', err: { message: 'no', stack: /Error: no/ } })
  t.same(levels, [30, 50])
  t.equal(lines.length, 2)
  t.end()
})

t.test("journald's priorities", t => {
  const { lines, log } = kept('json', true)
  for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) log[level]('x')
  t.same(
    lines.map(line => line.slice(0, 4)),
    ['<7>{', '<6>{', '<4>{', '<3>{', '<2>{'],
  )
  t.ok(lines.every(line => line.endsWith('}\n')))
  t.end()
})

t.test('text for people, in which no value can move the cursor or break the line', t => {
  const { lines, log } = kept('text', false)
  log.warn(
    { component: 'model', key: '/calico/v1/x', reason: 'bad\u001b[2J thing', n: 3, of: ['a'] },
    'rejected\n<0>fake',
  )
  t.match(
    lines[0],
    /^\d\d:\d\d:\d\d\.\d{3} WARN {2}model: rejected <0>fake key=\/calico\/v1\/x reason="bad\\u001b\[2J thing" n=3 of=\["a"\]\n$/,
  )
  const stack = readable(
    JSON.stringify({ level: 'error', time: '', msg: 'm', err: { stack: 'Error: a\u001b\n  at b' } }),
  )
  t.equal(stack, ' ERROR m\nError: a \n  at b\n')
  t.end()
})

t.test('the format follows the terminal unless it is set', t => {
  const settings = { logLevel: 'warn', logFormat: 'auto' } as const
  t.same(logOptions(settings, { isTTY: true }, {}), { level: 'warn', format: 'text', journal: false })
  t.same(logOptions(settings, {}, { JOURNAL_STREAM: '1:1' }), {
    level: 'warn',
    format: 'json',
    journal: false,
  })
  t.match(logOptions({ ...settings, logFormat: 'json' }, { isTTY: true }, {}), { format: 'json' })
  t.end()
})

t.test("systemd's line: what is enforced first, then what hinders the next change", t => {
  const notes = newNotes('node1', 'etcd http://127.0.0.1:2379')
  const line = (more: Partial<AgentNotes>) => statusLine(Object.assign(notes, more))
  t.equal(line({ waitingFor: 'not connected' }), 'waiting for etcd http://127.0.0.1:2379: not connected')
  t.equal(line({ waitingFor: null }), 'in sync, writing the first rules')
  t.equal(line({ applyFailure: 'the lock is held' }), 'the lock is held')
  const enforced = {
    connected: true,
    lastApply: new Date(),
    endpoints: { enforced: 2, closed: 0, failed: 0 },
    applyFailure: null,
  }
  t.equal(line(enforced), 'enforcing 2 workload endpoints')
  t.equal(
    line({ endpoints: { enforced: 0, closed: 1, failed: 30 } }),
    'enforcing 0 of 31 workload endpoints (30 failed, 1 closed: podfence status)',
  )
  line({ endpoints: { enforced: 2, closed: 0, failed: 0 } })
  t.equal(
    line({ connected: false, connectionReason: 'refused', applyFailure: 'no memory' }),
    'enforcing 2 workload endpoints; no memory; etcd http://127.0.0.1:2379 is away: refused',
  )
  t.equal(
    line({ applyFailure: null, waitingFor: 'Ready is missing' }),
    'enforcing 2 workload endpoints; waiting for etcd http://127.0.0.1:2379: Ready is missing',
  )
  t.end()
})

t.test('the first signal ends in order, the second at once; SIGHUP reloads', t => {
  const source = new EventEmitter() as EventEmitter & NodeJS.EventEmitter
  const heard: string[] = []
  const shutdown = onShutdown(source, {
    reload: () => heard.push('reload'),
    force: signal => heard.push(`force ${signal}`),
  })
  source.emit('SIGHUP')
  t.equal(shutdown.signal.aborted, false)
  source.emit('SIGTERM')
  t.same([shutdown.signal.aborted, shutdown.signal.reason], [true, 'SIGTERM'])
  source.emit('SIGINT')
  t.same(heard, ['reload', 'force SIGINT'])
  shutdown.dispose()
  t.equal(source.listenerCount('SIGTERM'), 0)
  t.end()
})

t.test('parts close in the reverse order, also when one fails', async t => {
  const closed: string[] = []
  const failed: string[] = []
  const closers = new Closers()
  closers.add('source', async () => void closed.push('source'))
  closers.add('kernel', () => {
    throw new Error('no')
  })
  closers.add('server', () => void closed.push('server'))
  await closers.closeAll((name, error) => failed.push(`${name}: ${(error as Error).message}`))
  t.same([closed, failed], [['server', 'source'], ['kernel: no']])
})

t.test('a stall of the event loop is seen', async t => {
  const lag = eventLoopLag(10)
  t.teardown(() => lag.close())
  lag.takeMax()
  await new Promise(resolve => setTimeout(resolve, 50))
  const end = performance.now() + 150
  while (performance.now() < end);
  await new Promise(resolve => setTimeout(resolve, 50))
  t.ok(lag.takeMax() > 100, 'a stall of 150 ms shows as more than 100')
})
