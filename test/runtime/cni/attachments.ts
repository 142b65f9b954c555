import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { PodAttachment } from '../../../src/model/kubernetes/pod-attachment.ts'
import { AttachmentBook } from '../../../src/runtime/cni/attachment-book.ts'
import { AttachmentFiles } from '../../../src/runtime/cni/attachment-files.ts'

const WEB = {
  pod: 'default/web',
  sandbox: 's1',
  network: 'pods',
  interface: 'veth1',
  mac: '0a:00:00:00:00:01',
  addresses: ['10.1.0.5', 'fd01::5'],
  uid: 'u1',
}
const { interface: _, mac, addresses } = WEB
const ATTACHED: PodAttachment = { interface: 'veth1', mac, addresses, sandbox: 's1', uid: 'u1' }
const GONE = { interface: '', mac: null, addresses: [], uid: 'u1' }

/** A book over real files in `runDir`, and what it has told the source. */
function open(runDir: string, there: Iterable<string> = ['veth1', 'veth2']) {
  const interfaces = new Set(there)
  const told: (readonly [string, PodAttachment | null])[] = []
  const source = {
    attach: (pod: string, attachment: PodAttachment | null) => void told.push([pod, attachment]),
  }
  const files = new AttachmentFiles(runDir)
  const book = new AttachmentBook({ files, source, interfaces: () => interfaces, now: () => 1000 })
  return { book, told, interfaces, names: () => readdirSync(join(runDir, 'attachments')).sort() }
}

t.test('an attachment is told, kept, and known again after a restart', async t => {
  const runDir = t.testdir({})
  const { book, told, names } = open(runDir)
  t.same(book.load(), [])
  book.attach(WEB)
  t.same(told, [['default/web', ATTACHED]])
  t.same(names(), ['s1.json'])
  t.equal(statSync(join(runDir, 'attachments/s1.json')).mode & 0o777, 0o600)
  const again = open(runDir)
  t.same(again.book.load(), [])
  t.same(again.told, told)
  t.match(again.book.of('default/web'), WEB)
})

t.test('DEL takes the addresses away until the pod is gone', async t => {
  const runDir = t.testdir({})
  const { book, told, names, interfaces } = open(runDir)
  book.attach(WEB)
  book.detach('never seen')
  book.detach('s1')
  book.detach('s1')
  t.same(told.slice(1), [['default/web', { ...GONE, sandbox: 's1' }]])
  const again = open(runDir)
  again.book.load()
  t.same(again.told, [['default/web', { ...GONE, sandbox: 's1' }]], 'after a restart too')
  book.sweep(() => true)
  t.same(names(), ['s1.json'], 'the source still has the pod')
  interfaces.delete('veth1')
  book.sweep(() => false)
  t.same(names(), [])
  t.same(told.at(-1), ['default/web', null])
})

t.test('the newest sandbox of a pod counts', async t => {
  const { book, told, names } = open(t.testdir({}))
  book.attach(WEB)
  book.attach({ ...WEB, sandbox: 's2', interface: 'veth2' })
  t.same(names(), ['s2.json'])
  told.length = 0
  book.detach('s1')
  t.same(told, [], 'a late DEL of the old one changes nothing')
  book.detach('s2')
  book.attach({ ...WEB, sandbox: 's3' })
  t.same(told.at(-1), ['default/web', { ...ATTACHED, sandbox: 's3' }])

  t.test('also where an agent died between writing the new and removing the old', async t => {
    const runDir = t.testdir({ attachments: {} })
    const record = (sandbox: string, at: number) => JSON.stringify({ ...WEB, sandbox, at, detached: false })
    for (const [sandbox, at] of [
      ['a', 2],
      ['b', 1],
    ] as const)
      writeFileSync(join(runDir, 'attachments', `${sandbox}.json`), record(sandbox, at))
    const { book, names } = open(runDir)
    book.load()
    t.equal(book.of('default/web')?.sandbox, 'a')
    t.same(names(), ['a.json'])
  })
})

t.test('an interface that went while no agent ran has lost its network', async t => {
  const runDir = t.testdir({})
  open(runDir).book.attach(WEB)
  const { book, told } = open(runDir, [])
  book.load()
  t.same(told, [['default/web', { ...GONE, sandbox: 's1' }]])
})

t.test('GC forgets what is not listed, of its own network', async t => {
  const { book, told } = open(t.testdir({}))
  book.attach(WEB)
  book.attach({ ...WEB, pod: 'default/db', sandbox: 's2' })
  book.attach({ ...WEB, pod: 'default/other', sandbox: 's3', network: 'others' })
  told.length = 0
  book.collect('pods', ['s2', 'unknown'])
  t.same(told, [['default/web', { ...GONE, sandbox: 's1' }]])
})

t.test('an attached pod that the source does not know yet is kept while its interface is there', async t => {
  const { book, names, interfaces } = open(t.testdir({}))
  book.attach(WEB)
  book.sweep(() => false)
  t.same(names(), ['s1.json'])
  interfaces.clear()
  book.sweep(() => false)
  t.same(names(), [])
})

t.test('a pod whose interface has gone without a DEL has lost its network', async t => {
  const { book, told, interfaces } = open(t.testdir({}))
  book.attach(WEB)
  told.length = 0
  book.sweep(() => true)
  t.same(told, [])
  interfaces.clear()
  book.sweep(() => true)
  book.sweep(() => true)
  t.same(told, [['default/web', { ...GONE, sandbox: 's1' }]])
})

t.test('files that cannot be read are told and removed; what cannot be written is refused', async t => {
  const runDir = t.testdir({
    attachments: {
      's1.json': '{',
      's2.json': JSON.stringify({ ...WEB, at: 1, detached: false }),
      's3.json': JSON.stringify({
        ...WEB,
        sandbox: 's3',
        at: 1,
        detached: false,
        addresses: ['10.1.0.0/16'],
      }),
      's4.json.draft': 'half',
    },
  })
  const { book, told, names } = open(runDir)
  const problems = book.load()
  t.equal(problems.length, 4)
  t.match(problems.join('\n'), /s2.json: it names the sandbox s1/)
  t.same([told, names()], [[], []])

  const blocked = t.testdir({ attachments: 'a file' })
  const other = open(blocked)
  t.throws(() => other.book.attach(WEB), { code: 5, message: /cannot be kept/ })
  t.same(other.told, [])
  t.equal(readFileSync(join(blocked, 'attachments'), 'utf8'), 'a file')
})
