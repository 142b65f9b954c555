import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import type { ToolResult } from '../../../src/kernel/fake/tool.ts'
import { printSave } from '../../../src/kernel/iptables-parser/print-save.ts'
import { parseSave } from '../../../src/kernel/iptables-parser/save.ts'
import { enterSandbox } from '../../../src/lab/sandbox.ts'
import { SETS, setLine, transactions } from './random-rules.ts'
import { flushAll, lacks, must, restore, run, save } from './real-tools.ts'

/** The fake's tools against the real ones. PODFENCE_SEED=7 tries other rules. */
const seed = Number(process.env.PODFENCE_SEED ?? 1)
const inside = await enterSandbox()
const skip = inside.skip || lacks('iptables-nft-restore', 'iptables-legacy-restore', 'ipset')

/** What the filter and raw tables hold, without comments and counters. */
function holds(text: string): Record<string, string[]> {
  const tables: Record<string, string[]> = {}
  for (const table of parseSave(text).tables) {
    if (table.name !== 'filter' && table.name !== 'raw') continue
    const lines = printSave({ ...parseSave(''), tables: [table] }).split('\n')
    tables[table.name] = lines.map(line => line.replace(/\[\d+:\d+\]/, '[0:0]'))
  }
  return tables
}

/** Empty tables but for chains A, B and C, and two rules. */
function start(own: string): string {
  const filter = `:A - [0:0]\n:B - [0:0]\n:C - [0:0]\n-A A -s ${own} -j DROP\n-A A -j B`
  return `*raw\n-F\n-X\n:R - [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n-F\n-X\n${filter}\nCOMMIT\n`
}

/** The line that is blamed, where one alone is to blame. */
function blamed({ exit, stderr }: ToolResult): string | null {
  if (exit === 4 || /line \d+ failed\n/.test(stderr)) return null
  return /line:? (\d+)/.exec(stderr)?.[1] ?? null
}

for (const backend of ['nft', 'legacy'] as const)
  t.test(`${backend}: random transactions are taken, refused and printed alike`, { skip }, t => {
    for (const line of SETS) must('ipset', '-exist', ...line.split(' '))
    for (const family of [4, 6] as const) {
      const worlds = fc.sample(transactions(family), { seed, numRuns: family === 4 ? 30 : 15 })
      let taken = 0
      for (const world of worlds) {
        const fake = new FakeKernel({ backend })
        for (const line of SETS) fake.ipset(line)
        for (const text of [start(family === 4 ? '10.9.9.9/32' : '2001:db8:9::9/128'), ...world]) {
          const real = restore(family, backend, text)
          const faked = fake.restore(family, text)
          const shown = `${text}\n${real.stderr}\n---\n${faked.stderr}`
          assert.equal(faked.exit, real.exit, shown)
          assert.equal(faked.stdout, real.stdout, shown)
          assert.equal(blamed(faked), blamed(real), shown)
          taken += real.exit === 0 ? 1 : 0
        }
        assert.deepEqual(holds(fake.save(family)), holds(save(family, backend)), world.join(''))
      }
      taken -= worlds.length
      const refused = worlds.flat().length - taken
      t.ok(taken > refused && refused > 2, `IPv${family}: ${taken} taken, ${refused} refused`)
    }
    flushAll(backend)
    t.end()
  })

/** Without what the fake does not keep: the hash, and seconds that pass. */
function sets(text: string): string[] {
  const lines = text.split('\n').map(line => line.replace(/ initval \S+| hashsize \d+/g, ''))
  return lines.map(line => line.replace(/(add .* timeout) \d+/, '$1')).sort()
}

t.test('random lines of ipset are answered alike', { skip }, async t => {
  // nft lets go of a set some milliseconds after its last rule went.
  for (let tries = 0; run('ipset', ['destroy']).exit !== 0; tries++) {
    if (tries > 100) throw new Error('the sets are still in use')
    await pause(20)
  }
  const fake = new FakeKernel()
  for (const line of SETS)
    assert.deepEqual([run('ipset', line.split(' ')).stderr, fake.ipset(line).stderr], ['', ''])
  const rule = '*filter\n-A FORWARD -m set --match-set s4 src\nCOMMIT\n'
  assert.deepEqual([restore(4, 'nft', rule).stderr, fake.restore(4, rule).stderr], ['', ''])
  let done = 0
  const lines = fc.sample(setLine, { seed, numRuns: 400 })
  for (const line of lines) {
    const real = run('ipset', line.split(' '))
    const faked = fake.ipset(line)
    assert.equal(faked.stderr.split('\n')[0], real.stderr.split('\n')[0], line)
    assert.equal(faked.exit === 0, real.exit === 0, line)
    done += real.exit === 0 ? 1 : 0
  }
  assert.deepEqual(sets(fake.ipsetSave()), sets(run('ipset', ['save']).stdout))
  t.ok(done > 50 && lines.length - done > 50, `${done} done, ${lines.length - done} refused`)
})
