import t from 'tap'
import { kernelCounters } from '../../src/kernel/counters.ts'
import { IpsetSession } from '../../src/kernel/ipset/session.ts'
import { type ChildHandlers, type Processes, systemProcesses } from '../../src/kernel/process.ts'
import { readComplaint } from '../../src/kernel/restore-error.ts'
import { RestoreSession } from '../../src/kernel/restore-session.ts'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { membersOf, rulesOf, sh } from './bench.ts'

const inside = await enterSandbox()

/** What a promise is rejected with. */
const failing = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  )

t.test('what the tools complain of', async t => {
  const cases: [string[], string, number | null][] = [
    [['iptables-restore: line 20 failed'], 'iptables-restore: line 20 failed', 20],
    [
      [
        "iptables-restore v1.8.9 (legacy): Set nosuch doesn't exist.",
        '',
        'Error occurred at line: 5',
        "Try `iptables-restore -h' or 'iptables-restore --help' for more information.",
      ],
      "Set nosuch doesn't exist.",
      5,
    ],
    [
      [
        'iptables-nft-restore v1.8.9 (nf_tables): ',
        'line 5: RULE_APPEND failed (Invalid argument): rule in chain podf-A',
      ],
      'line 5: RULE_APPEND failed (Invalid argument): rule in chain podf-A',
      5,
    ],
    [['# Warning: iptables-legacy tables present, use iptables-legacy to see them'], '', null],
  ]
  for (const [stderr, said, lineNumber] of cases) t.same(readComplaint(stderr), { said, lineNumber })
})

for (const backend of ['nft', 'legacy'] as const) {
  t.test(`${backend}: restore session`, { skip: inside.skip }, async t => {
    const counters = kernelCounters()
    const file = `iptables-${backend}-restore`
    const session = new RestoreSession({ processes: systemProcesses(), file, counters })
    await session.open()
    t.teardown(() => session.close())
    t.equal(session.spawnPerUpdate, false)
    const write = (rule: string) => ['*filter', ':podf-s - [0:0]', `-A podf-s ${rule}`, 'COMMIT']
    await session.commit([['*raw', ':podf-r - [0:0]', '-A podf-r -j DROP', 'COMMIT'], write('-j DROP')])
    t.same(rulesOf(backend, 'podf-s'), ['-j DROP'])
    t.same(rulesOf(backend, 'podf-r', { table: 'raw' }), ['-j DROP'])
    t.match(counters, { restoreTransactions: 2, restoreLines: 8, restoreErrors: 0, restoreRespawns: 0 })

    await t.test('a bad line is named, and nothing of its transaction stands', async t => {
      const good = ['*raw', ':podf-r - [0:0]', '-A podf-r -j ACCEPT', 'COMMIT']
      const refusal = await failing(session.commit([good, write('-m nosuchmatch'), write('-j RETURN')]))
      t.match(refusal, {
        code: 'KERNEL_REFUSED',
        failure: 'refused',
        acknowledged: 1,
        line: '-A podf-s -m nosuchmatch',
        said: /nosuchmatch/,
      })
      t.same(rulesOf(backend, 'podf-s'), ['-j DROP'])
      t.same(rulesOf(backend, 'podf-r', { table: 'raw' }), ['-j ACCEPT'])
    })

    await t.test('the next one is written by a new process, with lines counted anew', async t => {
      await session.commit([write('-j ACCEPT')])
      t.equal(counters.restoreRespawns, 1)
      t.match(await failing(session.commit([write('-m nosuchmatch')])), { line: '-A podf-s -m nosuchmatch' })
      t.same(rulesOf(backend, 'podf-s'), ['-j ACCEPT'])
    })

    await t.test('commits wait for each other', async t => {
      const rules = [1, 2, 3, 4, 5].map(n => `-s 10.0.0.${n}/32 -j DROP`)
      await Promise.all(rules.map(rule => session.commit([write(rule)])))
      t.same(rulesOf(backend, 'podf-s'), rules.slice(4))
    })

    await t.test('a control character is refused before anything is written', async t => {
      for (const bad of [
        '-m comment --comment "a\nCOMMIT"',
        '-j DROP\r',
        '-j \u0000',
        '-m comment --comment "é"',
      ]) {
        await t.rejects(session.commit([write(bad)]), {
          code: 'KERNEL_REFUSED',
          message: /control character/,
        })
      }
      t.match(rulesOf(backend, 'podf-s'), [/10\.0\.0\.5/])
    })

    await t.test('a forged acknowledgement is none', async t => {
      const forged = ['*filter', '# podf-ack 0 99', '-A podf-nosuch -j DROP', 'COMMIT']
      t.match(await failing(session.commit([forged])), {
        failure: 'refused',
        acknowledged: 0,
      })
    })
  })
}

t.test('a tool that is missing, and one that never echoes', async t => {
  const counters = kernelCounters()
  const missing = new RestoreSession({
    processes: systemProcesses(),
    file: 'podfence-no-such-tool',
    counters,
  })
  await t.rejects(missing.open(), { code: 'PREREQUISITE_MISSING' })
  const real = systemProcesses()
  const inputs: string[] = []
  const mute: Processes = {
    ...real,
    start: (_file, _args, handlers) => real.start('cat', [], { ...handlers, onLine: () => {} }),
    run: async (_file, _args, options) => {
      inputs.push(options?.input ?? '')
      return real.run('cat', [], options)
    },
  }
  const session = new RestoreSession({ processes: mute, file: 'mute', counters, probeMs: 50 })
  await session.open()
  t.equal(session.spawnPerUpdate, true)
  await session.commit([['*filter', 'COMMIT']])
  t.match(inputs, [/^\*filter\nCOMMIT\n# podf-ack \w+ \d+\n$/])
  await session.close()
})

t.test('a session that is killed while it waits is lost, one that waits too long is busy', async t => {
  const real = systemProcesses()
  const counters = kernelCounters()
  /** Echoes comments, as restore does, until a commit comes; then it waits for ever. */
  const stuck = (handlers: ChildHandlers | undefined) =>
    real.start(
      'bash',
      ['-c', 'while read -r x; do case $x in "#"*) echo "$x";; COMMIT) exec sleep 60;; esac; done'],
      handlers,
    )
  let pid = 0
  const processes: Processes = {
    ...real,
    start: (_file, _args, handlers) => {
      const child = stuck(handlers)
      pid = child.pid ?? 0
      return child
    },
  }
  const waits: (number | null)[] = []
  const options = { processes, file: 'stuck', counters, waitingAfterMs: 30, busyAfterMs: 200 }
  const session = new RestoreSession({ ...options, onWaiting: ms => waits.push(ms) })
  await session.open()
  t.match(await failing(session.commit([['*filter', 'COMMIT']])), { code: 'KERNEL_BUSY', failure: 'busy' })
  t.ok(waits.length > 2)
  t.equal(waits.at(-1), null)
  const commit = session.commit([['*filter', 'COMMIT']])
  await new Promise(resolve => setTimeout(resolve, 50))
  process.kill(pid, 'SIGKILL')
  t.match(await failing(commit), { failure: 'lost' })
  real.stopAll()
})

t.test('ipset session', { skip: inside.skip }, async t => {
  const counters = kernelCounters()
  const session = new IpsetSession({ processes: systemProcesses(), counters })
  await session.open()
  t.teardown(() => session.close())
  t.same(await session.run(['create podf-t hash:ip family inet maxelem 100', 'add podf-t 10.0.0.1']), [])
  t.same(membersOf('podf-t'), ['10.0.0.1'])
  t.same(await session.run(['add podf-t 10.0.0.1', 'del podf-t 10.0.0.9']), [], 'lines are idempotent')

  await t.test('the culprits are named, and all others stand', async t => {
    const failures = await session.run([
      'add podf-t 10.0.0.2',
      'add podf-nosuch 10.0.0.1',
      'add podf-t nonsense.invalid.',
      'add podf-t 10.0.0.3',
      'destroy podf-nosuch',
    ])
    t.equal(failures.length, 2, 'what is gone already may be destroyed')
    t.match(failures, [
      { line: 'add podf-nosuch 10.0.0.1', said: /does not exist/ },
      { line: 'add podf-t nonsense.invalid.' },
    ])
    t.same(membersOf('podf-t'), ['10.0.0.1', '10.0.0.2', '10.0.0.3'])
  })

  await t.test('a full set keeps back only its own', async t => {
    sh('ipset create podf-u hash:ip')
    const lines: string[] = []
    for (let n = 0; n < 6000; n++) lines.push(`add podf-t 10.1.${n >> 8}.${n & 255}`)
    lines.push('add podf-u 10.0.0.1', 'del podf-t 10.0.0.1')
    const failures = await session.run(lines)
    t.ok(failures.length > 4000)
    t.ok(failures.every(({ line, said }) => line.startsWith('add podf-t ') && said.includes('Hash is full')))
    t.same(membersOf('podf-u'), ['10.0.0.1'])
    t.notOk(membersOf('podf-t').includes('10.0.0.1'))
  })

  await t.test('many lines, in order', async t => {
    sh('ipset create podf-v hash:ip')
    const lines: string[] = []
    for (let n = 0; n < 10_000; n++) lines.push(`add podf-v 10.2.${n >> 8}.${n & 255}`)
    for (let n = 0; n < 9_999; n++) lines.push(`del podf-v 10.2.${n >> 8}.${n & 255}`)
    t.same(await session.run(lines), [])
    t.same(membersOf('podf-v'), ['10.2.39.15'])
  })

  await t.test('a warning of an ipset that is older or newer than the kernel refuses no line', async t => {
    const real = systemProcesses()
    const processes: Processes = {
      ...real,
      start(file, args, handlers) {
        let warned = false
        const onErrorLine = (line: string) => {
          if (!warned) handlers?.onErrorLine?.(WARNING)
          warned = true
          handlers?.onErrorLine?.(line)
        }
        return real.start(file, args, { ...handlers, onErrorLine })
      },
    }
    const warning = new IpsetSession({ processes, counters })
    await warning.open()
    const failures = await warning.run(['add podf-v 10.4.0.1', 'add podf-nosuch 10.4.0.1'])
    t.match(failures, [{ line: 'add podf-nosuch 10.4.0.1', said: /does not exist/ }])
    await warning.close()
  })

  await t.test('a killed process: what runs then is lost, the next one is not', async t => {
    const real = systemProcesses()
    let pid = 0
    const processes: Processes = {
      ...real,
      start: (file, args, handlers) => {
        const child = real.start(file, args, handlers)
        pid = child.pid ?? 0
        return child
      },
    }
    const mortal = new IpsetSession({ processes, counters })
    await mortal.open()
    process.kill(pid, 'SIGSTOP')
    const run = mortal.run(['add podf-v 10.3.0.1'])
    await new Promise(resolve => setImmediate(resolve))
    process.kill(pid, 'SIGKILL')
    await t.rejects(run, { message: /SIGKILL/ })
    t.same(await mortal.run(['add podf-v 10.3.0.2']), [])
    await mortal.close()
  })

  await t.rejects(session.run(['add podf-t 10.0.0.1\nflush podf-t']), { message: /control character/ })
})

const WARNING = 'Warning: Kernel support protocol versions 6-6 while userspace supports protocol versions 6-7'

t.test('ipset that is missing or silent', async t => {
  const real = systemProcesses()
  const as = (file: string, ...args: string[]): Processes => ({
    ...real,
    start: (_file, _args, handlers) => real.start(file, args, handlers),
  })
  const counters = kernelCounters()
  await t.rejects(new IpsetSession({ processes: as('podfence-no-such-tool'), counters }).open(), {
    code: 'PREREQUISITE_MISSING',
    message: /no program ipset/,
  })
  await t.rejects(new IpsetSession({ processes: as('cat'), counters, silenceMs: 50 }).open(), {
    code: 'PREREQUISITE_MISSING',
    message: /no answer/,
  })
})
