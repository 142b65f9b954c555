import fc from 'fast-check'
import t from 'tap'
import { ChainBook } from '../../src/kernel/chain-book.ts'
import { parseTable } from '../../src/kernel/picture.ts'
import { SetBook } from '../../src/kernel/set-book.ts'
import { parseSets, type SetPicture } from '../../src/kernel/set-picture.ts'
import { withoutSets, withoutShortSets } from '../../src/kernel/short-sets.ts'
import { transactionOf } from '../../src/kernel/transaction.ts'
import type { ChainChange, SetChange, SetRole } from '../../src/render/kernel-delta.ts'
import { chain, created, HOOKS, set } from './bench.ts'

const same = (rules: readonly string[]) => rules

t.test('rules beside short sets', async t => {
  const short = new Set(['podf-4-a'])
  const a = '-m set --match-set podf-4-a src'
  const notA = '-m set ! --match-set podf-4-a src'
  const b = '-m set --match-set podf-4-b dst'
  const cases: [string, string | null][] = [
    [`-p tcp ${a} -j MARK --set-xmark 0x1/0x1`, `-p tcp ${a} -j MARK --set-xmark 0x1/0x1`],
    [`-p tcp ${notA} -j MARK --set-xmark 0x1/0x1`, null],
    [`-p tcp ${notA} -j LOG`, null],
    [`-p tcp ${a} ${b} -j DROP`, `-p tcp ${b} -j DROP`],
    [`${b} ${a} -j DROP`, `${b} -j DROP`],
    [`${a} -j DROP`, '-j DROP'],
    [`${a} ${notA} -j DROP`, `${notA} -j DROP`],
    [`${b} -j DROP`, `${b} -j DROP`],
    ['-j DROP', '-j DROP'],
    [`${a} -g podf-allow`, `${a} -g podf-allow`],
    [`${notA} -g podf-allow`, null],
    [`${notA} -g podf-next-tier`, `${notA} -j DROP`],
    [`${b} -g podf-next-tier`, `${b} -g podf-next-tier`],
  ]
  for (const [rule, expected] of cases)
    t.same(withoutShortSets([rule], short), expected === null ? [] : [expected], rule)
  const rules = [`${b} -j DROP`]
  t.equal(withoutShortSets(rules, short), rules, 'the same array when nothing is concerned')
  t.equal(withoutShortSets([a], new Set()).length, 1)
  const passed = `-p tcp ${a} -g podf-next-tier`
  const missed = 'what a next-tier misses must not meet a later allow of its tier'
  t.same(withoutShortSets([passed], short), [passed, '-p tcp -j DROP'], missed)
  t.same(withoutSets([`${a} -j DROP`, `${b} -j DROP`], short), [`${b} -j DROP`])
  t.equal(withoutSets(rules, short), rules)
})

t.test('a transaction', async t => {
  const book = new ChainBook('filter', HOOKS)
  t.equal(transactionOf(book, book.pending(), { hooks: true }), null)
  book.observe(
    parseTable(
      '*filter\n:FORWARD ACCEPT [0:0]\n:podf-old - [0:0]\n-A FORWARD -j podf-FORWARD\n-A FORWARD -j podf-FORWARD\nCOMMIT\n',
      ['FORWARD'],
    )!,
    false,
  )
  t.same(book.pending(), [], 'what is found is left alone until the desired state is known')
  book.adopt([chain('podf-FORWARD', ['-j podf-b']), chain('podf-b', ['-j DROP'])], same)
  const transaction = transactionOf(book, book.pending(), { hooks: true })
  t.same(transaction?.lines, [
    '*filter',
    ':podf-old - [0:0]',
    ':podf-FORWARD - [0:0]',
    ':podf-b - [0:0]',
    '-A podf-FORWARD -m comment --comment "podf:1:podf-FORWARD"',
    '-A podf-FORWARD -j podf-b',
    '-A podf-b -m comment --comment "podf:1:podf-b"',
    '-A podf-b -j DROP',
    '-D FORWARD -j podf-FORWARD',
    '-D FORWARD -j podf-FORWARD',
    '-I FORWARD 1 -j podf-FORWARD',
    '-X podf-old',
    'COMMIT',
  ])
  t.same(transaction?.touches, ['podf-old', 'podf-FORWARD', 'podf-b', 'FORWARD'])
})

t.test('a table in text', async t => {
  const parents = ['FORWARD']
  t.equal(parseTable('*filter\n:FORWARD ACCEPT [0:0]\n', parents), null, 'cut off')
  t.same(parseTable('', parents), new Map(), 'a table that nobody has used')
  const text =
    '# x\n*filter\n:FORWARD DROP [1:2]\n:podf-a - [0:0]\n:OTHER - [0:0]\n-A FORWARD -j podf-a\n-A podf-a\n-A OTHER -m comment --comment "a\\"b" -j DROP\nCOMMIT\n'
  t.same(
    parseTable(text, parents),
    new Map([
      ['FORWARD', ['-j podf-a']],
      ['podf-a', ['']],
    ]),
  )
})

t.test('an iptables that prints a rule otherwise is not written to for ever', async t => {
  const book = new ChainBook('filter', [])
  const wanted: ChainChange = chain('podf-a', ['-p tcp -m tcp --dport 80 -j DROP'])
  book.adopt([wanted], same)
  book.written(book.pending(), record => record.want)
  const heading = wanted.rules?.[0] ?? ''
  const printed = [heading, '-p 6 -m tcp --dport 80 -j DROP']
  t.equal(book.observeChain('podf-a', printed), true, 'at first it looks like drift')
  book.written(book.pending(), record => record.want)
  book.verify('podf-a', printed)
  t.same(book.pending(), [])
  t.equal(book.observeChain('podf-a', printed), false)
  t.equal(book.observeChain('podf-a', [...printed, '-j ACCEPT']), true, 'an added rule is drift all the same')
  book.written(book.pending(), record => record.want)
  book.verify('podf-a', [...printed, '-j ACCEPT'])
  t.equal(book.pending().length, 1, 'and is never accepted')
  book.written(book.pending(), record => record.want)
  book.change(chain('podf-a', ['-j RETURN']), same)
  book.written(book.pending(), record => record.want)
  t.equal(book.observeChain('podf-a', printed), true, 'what was remembered belongs to the old rules')
})

t.test('the text of ipset -', async t => {
  const text =
    'ipset> create podf-4-a hash:ip family inet hashsize 64 maxelem 9 bucketsize 12 initval 0x1\nadd podf-4-a 10.0.0.1\nipset> ipset> create podf-cut-6 hash:ip,port,ip family inet6 hashsize 64 maxelem 9 timeout 60\nadd podf-cut-6 ::1,tcp:80,::2 timeout 5\nipset> '
  t.same(parseSets(text).get('podf-4-a'), {
    type: 'hash:ip',
    family: 4,
    maxElements: 9,
    timeout: null,
    members: ['10.0.0.1'],
  })
  t.match(parseSets(text).get('podf-cut-6'), { family: 6, timeout: 60, members: ['::1,tcp:80,::2'] })
})

t.test('a set of cut connections that cannot be made', async t => {
  const book = new SetBook(9)
  const cut = { type: 'hash:ip,port,ip', timeout: 60 } as const
  book.adopt([created('podf-cut-4', [], cut), created('podf-4-a', ['10.0.0.1'])])
  const failures = book.lines('before chains').filter(line => line.startsWith('create'))
  for (const line of failures) book.confirm([{ line, said: 'Kernel error received: module not found' }])
  book.observe(new Map(), { adopted: true })
  for (const line of failures) book.giveUp({ line, said: 'Kernel error received: module not found' })
  t.same(
    book
      .short()
      .map(({ set }) => set)
      .sort(),
    ['podf-4-a', 'podf-cut-4'],
  )
  t.same(book.lacking(), { members: ['podf-4-a'], sets: ['podf-cut-4'] }, 'no deny is widened for its sake')
})

t.test('a full set that something leaves lacks its members until they are in', async t => {
  const book = new SetBook(2)
  book.adopt([created('podf-4-a', ['10.0.0.1', '10.0.0.2', '10.0.0.3'], { role: 'opens' })])
  const said = 'Hash is full, cannot add more elements'
  const last = book.lines('before chains').at(-1)!
  book.confirm([{ line: last, said }])
  book.change(set('podf-4-a', { deleted: ['10.0.0.1'], role: 'opens' }))
  t.same(book.lines('before chains'), ['del podf-4-a 10.0.0.1'])
  book.confirm([])
  t.same(book.lacking().members, ['podf-4-a'], 'rules stay guarded while chains are written')
  t.same(book.lines('after chains'), [last])
  book.confirm([])
  t.same(book.lacking().members, [])
})

/** What ipset does with our lines, to hold the book against. */
class Kernel {
  readonly sets = new Map<string, { maxElements: number; members: Set<string> }>()

  run(lines: readonly string[]): { line: string; said: string }[] {
    return lines.flatMap(line => {
      const [verb = '', name = '', member = ''] = line.split(' ')
      const known = this.sets.get(name)
      if (verb === 'create') {
        if (known === undefined)
          this.sets.set(name, { maxElements: Number(/maxelem (\d+)/.exec(line)?.[1]), members: new Set() })
        return []
      }
      if (known === undefined) return [{ line, said: 'The set with the given name does not exist' }]
      if (verb === 'flush') known.members.clear()
      if (verb === 'del') known.members.delete(member)
      if (verb === 'destroy') this.sets.delete(name)
      if (verb === 'swap') {
        const other = this.sets.get(member)
        if (other === undefined) return [{ line, said: 'the second set does not exist' }]
        this.sets.set(name, other)
        this.sets.set(member, known)
      }
      if (verb === 'add') {
        if (!known.members.has(member) && known.members.size >= known.maxElements)
          return [{ line, said: 'Hash is full, cannot add more elements' }]
        known.members.add(member)
      }
      return []
    })
  }

  picture(): Map<string, SetPicture> {
    return new Map(
      [...this.sets].map(([name, { maxElements, members }]) => [
        name,
        { type: 'hash:ip', family: 4, maxElements, timeout: null, members: [...members] },
      ]),
    )
  }
}

const PHASES = ['before chains', 'after chains'] as const

function roleOf(name: string): SetRole {
  return name.endsWith('c') ? 'closes' : 'opens'
}

t.test('before the chains sets are written as far as that only closes', async t => {
  const book = new SetBook(2)
  const write = (...expected: readonly (readonly string[])[]) => {
    for (const [at, phase] of PHASES.entries()) {
      t.same(book.lines(phase), expected[at], phase)
      book.confirm([])
    }
  }
  const [a, b] = ['10.0.0.1', '10.0.0.2']
  const create = (name: string) => `create ${name} hash:ip family inet maxelem 2`
  book.change(created('podf-4-o', [a]))
  book.change(created('podf-4-c', [a], { role: 'closes' }))
  write([create('podf-4-o'), `add podf-4-o ${a}`, create('podf-4-c'), `add podf-4-c ${a}`], [])
  for (const name of ['podf-4-o', 'podf-4-c'])
    book.change(set(name, { added: [b], deleted: [a], role: roleOf(name) }))
  t.ok(book.closesFirst(), 'a member that joins what closes is acknowledged before anything opens')
  write([`del podf-4-o ${a}`, `add podf-4-c ${b}`], [`del podf-4-c ${a}`, `add podf-4-o ${b}`])
})

t.test('what leaves and what opens may be one batch, in this order', async t => {
  const book = new SetBook(100)
  const [a, b] = ['10.0.0.1', '10.0.0.2']
  for (const name of ['podf-4-c', 'podf-4-o', 'podf-4-p'])
    book.change(created(name, [a], { role: roleOf(name) }))
  t.ok(book.closesFirst(), 'new sets are there before rules name them')
  book.lines('before chains')
  book.confirm([])
  t.notOk(book.closesFirst())
  book.change(set('podf-4-c', { deleted: [a], role: 'closes' }))
  for (const name of ['podf-4-o', 'podf-4-p']) book.change(set(name, { added: [b], deleted: [a] }))
  t.notOk(book.closesFirst())
  t.same(book.lines('after chains'), [
    ...['del podf-4-o 10.0.0.1', 'del podf-4-p 10.0.0.1', 'del podf-4-c 10.0.0.1'],
    ...['add podf-4-o 10.0.0.2', 'add podf-4-p 10.0.0.2'],
  ])
  t.equal(book.confirm([]), null)
})

t.test('whatever comes, the sets hold what is wanted, as far as they can', async t => {
  const LIMIT = 70
  const member = fc.integer({ min: 0, max: 99 }).map(n => `10.0.0.${n}`)
  const name = fc.constantFrom('podf-4-a', 'podf-4-b', 'podf-4-c')
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('change' as const),
      name,
      added: fc.array(member),
      deleted: fc.array(member),
    }),
    fc.record({ kind: fc.constant('create' as const), name, added: fc.array(member, { maxLength: 90 }) }),
    fc.record({ kind: fc.constant('remove' as const), name }),
    fc.record({
      kind: fc.constant('foreign' as const),
      name,
      what: fc.constantFrom('flush', 'destroy', 'add'),
      added: fc.array(member),
    }),
    fc.record({ kind: fc.constant('resync' as const) }),
    fc.record({ kind: fc.constant('sweep' as const) }),
    fc.record({ kind: fc.constant('wait' as const) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), steps => {
        const kernel = new Kernel()
        let book = new SetBook(LIMIT)
        const wanted = new Map<string, Set<string>>()
        let clean = true
        let waiting = false
        const flush = () => {
          for (const phase of book.closesFirst() ? PHASES : PHASES.slice(1))
            for (let attempt = 1; book.confirm(kernel.run(book.lines(phase))) !== null; attempt++) {
              if (attempt === 3) throw new Error('the book is wrong')
              book.observe(kernel.picture(), { adopted: true })
            }
        }
        for (const step of steps) {
          if (step.kind === 'change') {
            const members = wanted.get(step.name)
            if (members === undefined) continue
            const added = [...new Set(step.added)].filter(each => !members.has(each))
            const deleted = [...new Set(step.deleted)].filter(each => members.has(each))
            for (const each of deleted) members.delete(each)
            for (const each of added) members.add(each)
            book.change(set(step.name, { added, deleted, role: roleOf(step.name) }))
          } else if (step.kind === 'create') {
            wanted.set(step.name, new Set(step.added))
            book.change(
              created(step.name, [...new Set(step.added)], {
                removed: step.added.length % 2 === 0,
                role: roleOf(step.name),
              }),
            )
          } else if (step.kind === 'remove') {
            if (wanted.delete(step.name)) book.change(set(step.name, { removed: true }))
          } else if (step.kind === 'foreign') {
            const held = kernel.sets.get(step.name)
            if (held === undefined) continue
            if (step.what === 'flush') held.members.clear()
            if (step.what === 'destroy') kernel.sets.delete(step.name)
            for (const each of step.added) if (held.members.size < LIMIT) held.members.add(each)
            clean = false
            continue
          } else if (step.kind === 'sweep') {
            for (const doomed of book.doomed()) {
              kernel.run([`destroy ${doomed}`])
              book.destroyed(doomed)
            }
          } else if (step.kind === 'restart') {
            book = new SetBook(LIMIT)
            book.observe(kernel.picture(), { adopted: false })
            const all: SetChange[] = [...wanted].map(([each, members]) =>
              created(each, [...members], { role: roleOf(each) }),
            )
            book.adopt(all)
            clean = true
          } else if (step.kind === 'resync') {
            book.observe(kernel.picture(), { adopted: true })
            book.retryShort()
            clean = true
          }
          if (step.kind === 'wait') waiting = !waiting
          if (waiting) continue
          flush()
          if (!clean) continue
          const short = new Map(book.short().map(each => [each.set, each.lacking]))
          for (const [each, members] of wanted) {
            const held = kernel.sets.get(each)?.members ?? new Set()
            for (const one of held) if (!members.has(one)) return false
            if (held.size + (short.get(each) ?? 0) !== members.size) return false
            if (
              members.size <= LIMIT &&
              (step.kind === 'resync' || step.kind === 'restart') &&
              short.has(each)
            )
              return false
          }
        }
        return true
      }),
      { numRuns: 1000 },
    ),
  )
})
