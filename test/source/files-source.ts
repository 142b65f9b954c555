import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { refusalOf } from '../../src/source/event.ts'
import { type FileContent, FileSet } from '../../src/source/file-set.ts'
import { FilesSource } from '../../src/source/files-source.ts'
import { Heard } from './heard.ts'

/** A language for these tests: a line `KEY=VALUE`, `!KEY` for a faulty object that can be named, `?` for one that cannot. */
function read(text: string, file: string): FileContent {
  const lines = text.split('\n').filter(line => line !== '')
  return {
    entries: lines
      .filter(line => line.includes('='))
      .map(line => ({ key: line.split('=')[0]!, value: line.split('=')[1]! })),
    problems: lines
      .filter(line => /^[!?]/.test(line))
      .map(line => ({ message: `${file}: bad ${line}`, keys: line === '?' ? null : [line.slice(1)] })),
  }
}

function watched(t: Test, rescanMs = 60_000) {
  const parent = mkdtempSync(join(tmpdir(), 'podfence-files-'))
  const directory = join(parent, 'objects')
  mkdirSync(directory)
  t.teardown(() => rmSync(parent, { recursive: true, force: true }))
  const path = (name: string) => join(directory, name)
  const write = (name: string, ...lines: string[]) => {
    // As careful writers do: the new file takes the old one's name at once.
    writeFileSync(path(`.${name}.new`), lines.join('\n'))
    renameSync(path(`.${name}.new`), path(name))
  }
  let problems: readonly string[] = []
  const listen = () => {
    const onProblems = (now: readonly string[]) => {
      problems = now
    }
    const source = new FilesSource({ directory, read, onProblems, rescanMs, settleMs: 20 })
    const heard = new Heard(source)
    t.teardown(() => heard.stop())
    return heard
  }
  return { directory, parent, path, write, listen, problems: () => problems }
}

const plain = (heard: Heard) => Object.fromEntries([...heard.entries].sort())

t.test('the first list, then each change; files that are not ours are not read', async t => {
  const { path, write, listen } = watched(t)
  write('a.yaml', 'k1=1', 'k2=2')
  write('b.yml', 'k3=3')
  writeFileSync(path('notes.txt'), '?')
  writeFileSync(path('.hidden.yaml'), '?')
  mkdirSync(path('dir.yaml'))
  const heard = listen()
  await heard.until(() => heard.snapshots === 1)
  t.same(plain(heard), { k1: '1', k2: '2', k3: '3' })

  write('a.yaml', 'k1=one', 'k4=4')
  await heard.until(() => heard.entries.has('k4'))
  t.same(heard.events.at(-1), {
    kind: 'changes',
    revision: '2',
    changes: [
      { key: 'k2', value: null },
      { key: 'k1', value: 'one' },
      { key: 'k4', value: '4' },
    ],
  })
  rmSync(path('b.yml'))
  await heard.until(() => !heard.entries.has('k3'))
  write('c.yaml', 'k5=5')
  await heard.until(() => heard.entries.has('k5'))
  t.equal(heard.snapshots, 1)
  heard.source.relist('asked')
  await heard.until(() => heard.snapshots === 2)
  t.same(plain(heard), { k1: 'one', k4: '4', k5: '5' })
})

t.test('a faulty object is refused under its key and the others live on', async t => {
  const { write, listen, problems } = watched(t)
  write('a.yaml', '!k1', 'k2=2')
  write('b.yaml', 'k3=3')
  const heard = listen()
  await heard.until(() => heard.snapshots === 1)
  t.same(plain(heard), { k1: '\u0000a.yaml: bad !k1', k2: '2', k3: '3' })
  t.equal(refusalOf(heard.entries.get('k1')!), 'a.yaml: bad !k1')
  t.same(problems(), ['a.yaml: bad !k1'])
  write('a.yaml', 'k1=1', 'k2=2')
  await heard.until(() => heard.entries.get('k1') === '1')
  t.same(problems(), [])
})

t.test('while a part cannot even be named, no object of the file vanishes', async t => {
  const { path, write, listen } = watched(t)
  write('a.yaml', 'k1=1', 'k2=2')
  const heard = listen()
  await heard.until(() => heard.snapshots === 1)
  write('a.yaml', 'k1=1', '?')
  await heard.until(() => heard.entries.get('k2') !== '2')
  t.same(plain(heard), { k1: '1', k2: '\u0000a.yaml: bad ?' })
  write('a.yaml', '?')
  await heard.until(() => heard.entries.get('k1') !== '1')
  t.same(Object.keys(plain(heard)), ['k1', 'k2'])
  write('a.yaml', 'k1=1')
  await heard.until(() => !heard.entries.has('k2'))
  t.same(plain(heard), { k1: '1' })
  write('a.yaml', '?')
  await heard.until(() => heard.entries.get('k1') !== '1')
  rmSync(path('a.yaml'))
  await heard.until(() => heard.entries.size === 0)
})

t.test('no first list while a part of it cannot be named', async t => {
  const { write, listen } = watched(t)
  write('a.yaml', 'k1=1', '?')
  const heard = listen()
  await heard.until(() => heard.events.length === 1)
  t.match(heard.events, [
    { kind: 'connection', connected: false, reason: /first complete list: a.yaml: bad/ },
  ])
  write('a.yaml', 'k1=1')
  await heard.until(() => heard.snapshots === 1)
  t.same(plain(heard), { k1: '1' })
})

t.test('the directory comes late, goes, and comes again', async t => {
  const { directory, parent, write, listen } = watched(t, 30)
  renameSync(directory, join(parent, 'away'))
  const heard = listen()
  await heard.until(() => heard.connections.length === 1)
  t.equal(heard.connections[0]?.connected, false)
  mkdirSync(directory)
  write('a.yaml', 'k1=1')
  await heard.until(() => heard.entries.has('k1'))
  const before = heard.snapshots
  rmSync(directory, { recursive: true })
  await heard.until(() => heard.connections.at(-1)?.connected === false)
  t.ok(heard.entries.has('k1'), 'what was seen last still stands')
  mkdirSync(directory)
  write('a.yaml', 'k2=2')
  await heard.until(() => heard.entries.has('k2'))
  t.notOk(heard.entries.has('k1'))
  t.equal(heard.snapshots, before)
})

t.test('links that are switched all at once, as Kubernetes mounts a ConfigMap', async t => {
  const { path, listen } = watched(t)
  for (const [version, value] of [
    ['..one', '1'],
    ['..two', '2'],
  ] as const) {
    mkdirSync(path(version))
    writeFileSync(join(path(version), 'a.yaml'), `k1=${value}`)
  }
  symlinkSync('..one', path('..data'))
  symlinkSync('..data/a.yaml', path('a.yaml'))
  const heard = listen()
  await heard.until(() => heard.entries.get('k1') === '1')
  symlinkSync('..two', path('..new'))
  renameSync(path('..new'), path('..data'))
  await heard.until(() => heard.entries.get('k1') === '2')
})

t.test('two files that define one key: the first name holds, and it is told', async t => {
  const files = new FileSet(read)
  files.take('b.yaml', '1', 'k=b')
  files.take('a.yaml', '1', 'k=a\nk=again')
  const { entries, problems } = files.merge()
  t.same([...entries], [['k', 'a']])
  t.same(problems, [
    'k is defined twice in a.yaml; the first one holds',
    'k is defined in a.yaml and in b.yaml; the first one holds',
  ])
  files.takeUnreadable('b.yaml', '2', 'EACCES')
  t.equal(files.merge().whole, false)
  files.keepOnly(new Set(['b.yaml']))
  t.same([...files.merge().entries], [['k', '\u0000b.yaml: EACCES']])
})
