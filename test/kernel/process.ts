import t from 'tap'
import { systemProcesses } from '../../src/kernel/process.ts'

t.test('run to the end', async t => {
  const processes = systemProcesses({ PODFENCE_TEST: 'given' })
  t.match(await processes.run('cat', [], { input: 'a\nb' }), {
    code: 0,
    stdout: 'a\nb',
    timedOut: false,
    missing: false,
  })
  const failed = await processes.run('sh', ['-c', 'echo no >&2; exit 4'])
  t.match(failed, { code: 4, signal: null, stdout: '', stderr: 'no\n' })
  t.match(await processes.run('podfence-no-such-tool', []), { code: null, missing: true })
  t.match(await processes.run('sleep', ['60'], { timeoutMs: 50 }), {
    code: null,
    signal: 'SIGKILL',
    timedOut: true,
  })
  const env = await processes.run('sh', ['-c', 'echo $PODFENCE_TEST $MORE $LC_ALL $XTABLES_LOCKFILE'], {
    env: { MORE: 'more' },
  })
  t.equal(env.stdout.trim(), `given more C ${process.env.XTABLES_LOCKFILE ?? ''}`.trim())
})

t.test('a child that lives on', async t => {
  const out: string[] = []
  const err: string[] = []
  const child = systemProcesses().start(
    'sh',
    ['-c', 'while read x; do echo "<$x>"; echo "!$x" >&2; done; printf rest'],
    {
      onLine: line => out.push(line),
      onErrorLine: line => err.push(line),
    },
  )
  t.type(child.pid, 'number')
  child.write('one\ntwo\n')
  child.write('three\n')
  child.end()
  t.match(await child.ended, { code: 0, signal: null })
  t.same(out, ['<one>', '<two>', '<three>', 'rest'])
  t.same(err, ['!one', '!two', '!three'])
  child.write('after the end')
  child.kill()
})

t.test('a child that cannot be started, or is killed, ends and does not throw', async t => {
  const processes = systemProcesses()
  const missing = processes.start('podfence-no-such-tool', [])
  missing.write('x')
  t.match(await missing.ended, { missing: true })
  const killed = processes.start('sleep', ['60'])
  killed.kill()
  t.match(await killed.ended, { code: null, signal: 'SIGKILL' })
})

t.test('stopAll kills what still runs', async t => {
  const processes = systemProcesses()
  const child = processes.start('sleep', ['60'])
  const run = processes.run('sleep', ['60'])
  processes.stopAll()
  t.match(await child.ended, { signal: 'SIGKILL' })
  t.match(await run, { signal: 'SIGKILL', timedOut: false })
})

t.test('many lines leave the event loop its turns', async t => {
  let [lines, turns] = [0, 0]
  const timer = setInterval(() => turns++)
  const child = systemProcesses().start('seq', ['100000'], {
    onLine: line => {
      // Work for each line, as parsing and judging are.
      for (const end = performance.now() + 0.002; performance.now() < end; );
      if (Number(line) === ++lines) return
      t.fail(`line ${lines} is ${line}`)
    },
  })
  t.match(await child.ended, { code: 0 })
  clearInterval(timer)
  t.equal(lines, 100_000)
  t.ok(turns > 4, `timers had ${turns} turns`)
})
