import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { printSave } from '../../../src/kernel/iptables-parser/print-save.ts'
import { parseRule, RuleTextError } from '../../../src/kernel/iptables-parser/rule.ts'
import { parseSave } from '../../../src/kernel/iptables-parser/save.ts'
import { SaveTextError } from '../../../src/kernel/iptables-parser/save-error.ts'
import { quotesClose, quoteWord, splitWords } from '../../../src/kernel/iptables-parser/words.ts'

/** Printed by iptables-save 1.8.9 of both backends, in a namespace. */
const REAL = join(import.meta.dirname, 'real')
const real = (name: string): string => readFileSync(join(REAL, `${name}.txt`), 'utf8')
const readable = readdirSync(REAL).filter(name => !/incompatible|truncated/.test(name))

const problem = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    if (error instanceof SaveTextError) return [error.problem, error.line, error.table]
    throw error
  }
  return null
}

t.test('real output comes back as it was', t => {
  t.ok(readable.length >= 5)
  for (const name of readable) {
    const text = readFileSync(join(REAL, name), 'utf8')
    t.equal(printSave(parseSave(text)), text, name)
  }
  t.end()
})

t.test('what a real output holds', t => {
  const saved = parseSave(real('legacy-4-counters'))
  t.same(saved.tables.map(table => table.name).sort(), ['filter', 'mangle', 'nat', 'raw'])
  const filter = saved.tables.find(table => table.name === 'filter')!
  t.same(
    filter.chains.map(chain => [chain.name, chain.policy]),
    [
      ['INPUT', 'ACCEPT'],
      ['FORWARD', 'DROP'],
      ['OUTPUT', 'ACCEPT'],
      ['podf-FORWARD', null],
      ['podf-empty', null],
      ['podf-in-A', null],
    ],
  )
  const last = filter.rules.at(-1)!
  t.match(last, { chain: 'podf-in-A', words: [], text: '', counters: { packets: 0n, bytes: 0n } })
  const nat = saved.tables.find(table => table.name === 'nat')!
  const quoted = nat.rules.find(rule => rule.text.includes('SNAT'))!
  t.equal(quoted.words[3], `kubernetes "service" traffic, it's \\ SNAT`)
  t.equal(real('legacy-4-counters').split('\n')[quoted.line - 1], `[0:0] -A POSTROUTING ${quoted.text}`)
  const loopback = filter.chains[0]!.counters!
  t.ok(loopback.packets > 0n && loopback.bytes > loopback.packets)
  t.end()
})

t.test('what nft cannot show', t => {
  t.same(
    problem(() => parseSave(real('nft-4-incompatible'))),
    ['incompatible', 1, 'mangle'],
  )
  const saved = parseSave(real('nft-4-incompatible'), { needed: ['raw', 'filter'] })
  t.same(saved.unreadable, ['mangle'])
  t.ok(saved.tables.some(table => table.name === 'filter'))
  t.same(
    problem(() => parseSave(real('nft-4-incompatible'), { needed: ['mangle'] })),
    ['incompatible', 1, 'mangle'],
  )
  t.same(parseSave(real('nft-4-foreign-base-chain')).withForeignBaseChains, ['filter'])
  // It ended at a native rule, with exit code 0.
  t.same(
    problem(() => parseSave(real('nft-4-truncated'))),
    ['truncated', 9, 'filter'],
  )
  const warning = '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n'
  t.equal(parseSave(warning + real('nft-6')).legacyPresent, true)
  t.equal(parseSave(real('nft-6')).legacyPresent, false)
  t.end()
})

t.test('every cut of a real output is an error or a shorter whole', t => {
  const text = real('nft-6')
  for (let end = 0; end < text.length; end++) {
    const part = text.slice(0, end)
    const inTable = part.includes('\n*filter') && !part.includes('COMMIT')
    if (inTable) t.ok(problem(() => parseSave(part)) !== null, `cut at ${end}`)
    else if (problem(() => parseSave(part)) !== null)
      t.equal(part.split('\n').at(-1)?.[0], '*', `cut at ${end}`)
  }
  t.same(parseSave('').tables, [])
  t.end()
})

t.test('broken text names its line', t => {
  const broken: Record<string, unknown> = {
    'hello\n': ['syntax', 1, null],
    '*\n': ['syntax', 1, null],
    '*filter\n*raw\nCOMMIT\n': ['syntax', 2, 'filter'],
    '*filter\n:A\nCOMMIT\n': ['syntax', 2, 'filter'],
    '*filter\n:A - [1]\nCOMMIT\n': ['syntax', 2, 'filter'],
    '*filter\n:A - [0:0]\n:A - [0:0]\nCOMMIT\n': ['syntax', 3, 'filter'],
    '*filter\n-A B -j DROP\nCOMMIT\n': ['syntax', 2, 'filter'],
    '*filter\n:A - [0:0]\n-A A -j "DROP\nCOMMIT\n': ['syntax', 3, 'filter'],
    '*filter\n:A - [0:0]\n-I A -j DROP\nCOMMIT\n': ['syntax', 3, 'filter'],
    '*filter\n:A - [0:0]\n[1:x] -A A -j DROP\nCOMMIT\n': ['syntax', 3, 'filter'],
    '*filter\nCOMMIT\nCOMMIT\n': ['syntax', 3, null],
    '# x\n\n*filter\n:A - [0:0]\n': ['truncated', 4, 'filter'],
  }
  for (const [text, expected] of Object.entries(broken))
    t.same(
      problem(() => parseSave(text)),
      expected,
      text,
    )
  t.end()
})

t.test('a counter beyond the whole numbers of a double survives', t => {
  const text = '*filter\n:FORWARD ACCEPT [18446744073709551615:9007199254740993]\nCOMMIT\n'
  t.equal(printSave(parseSave(text)), text)
  t.end()
})

t.test('words', t => {
  const cases: Record<string, readonly string[] | null> = {
    '': [],
    '-j  DROP': ['-j', 'DROP'],
    ' -j\tDROP ': ['-j', 'DROP'],
    '--comment "a b" -j DROP': ['--comment', 'a b', '-j', 'DROP'],
    '--comment ""': ['--comment', ''],
    '--comment "a \\"b\\" \\\\ c"': ['--comment', 'a "b" \\ c'],
    // As the tool reads it: a quote opens inside a word, and its end is the end of the word.
    '--comment a"b c"d': ['--comment', 'ab c', 'd'],
    'a\\b': ['a\\b'],
    '"open': null,
    '"open\\"': null,
  }
  for (const [text, expected] of Object.entries(cases)) t.same(splitWords(text), expected, text)
  t.equal(quoteWord('a-B_9'), 'a-B_9')
  t.equal(quoteWord('a b'), '"a b"')
  t.equal(quoteWord(''), '""')
  t.equal(quoteWord(`it's "x" \\`), '"it\\\'s \\"x\\" \\\\"')
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme-ascii' })), words => {
      assert.deepEqual(splitWords(words.map(quoteWord).join(' ')), words)
    }),
    { numRuns: 300 },
  )
  t.end()
})

const rule = (text: string): ReturnType<typeof parseRule> => parseRule(splitWords(text)!)
const option = (name: string, ...args: string[]): object => ({ name, not: false, args, known: true })
const not = (name: string, ...args: string[]): object => ({ name, not: true, args, known: true })

t.test('rules', t => {
  t.same(rule('! -s 10.0.0.0/8 -i cali+ -p tcp -m multiport --dports 80,443 -j podf-x'), {
    packet: [not('-s', '10.0.0.0/8'), option('-i', 'cali+'), option('-p', 'tcp')],
    matches: [{ module: 'multiport', options: [option('--dports', '80,443')] }],
    target: { verb: 'jump', name: 'podf-x', options: [] },
  })
  t.same(rule('-m set ! --match-set podf-4-A src,dst -g x'), {
    packet: [],
    matches: [{ module: 'set', options: [not('--match-set', 'podf-4-A', 'src,dst')] }],
    target: { verb: 'goto', name: 'x', options: [] },
  })
  t.same(rule('-j MARK --set-xmark 0x0/0x7 -m comment --comment x').target, {
    verb: 'jump',
    name: 'MARK',
    options: [option('--set-xmark', '0x0/0x7')],
  })
  t.same(rule('').target, null)
  t.end()
})

t.test('other names and implied matches', t => {
  t.same(
    rule('--source 1.1.1.1 --protocol tcp --destination-port 80 --jump DROP'),
    rule('-s 1.1.1.1 -p tcp -m tcp --dport 80 -j DROP'),
  )
  t.same(rule('-p 58 --icmpv6-type 135').matches, rule('-p ipv6-icmp -m icmpv6 --icmpv6-type 135').matches)
  t.same(rule('-p tcp -m multiport --dport 1').matches[0]!.options, [option('--dports', '1')])
  // The order of the matches is that of the words.
  t.same(
    rule('-p tcp -m comment --comment x --dport 80 -m mark --mark 3').matches.map(match => match.module),
    ['comment', 'tcp', 'mark'],
  )
  t.same(rule('! -p tcp -m comment --comment x --dport 80').matches[0]!.options[1], {
    ...option('--dport', '80'),
    known: false,
  })
  t.end()
})

t.test('what nobody knows is kept as opaque', t => {
  const odd = rule('-p tcp -m rocket ! --fuel solid liquid --stages 3 -j LAUNCH --now -m mark --mark 1')
  t.same(odd.matches[0], {
    module: 'rocket',
    options: [
      { name: '--fuel', not: true, args: ['solid', 'liquid'], known: false },
      { name: '--stages', not: false, args: ['3'], known: false },
    ],
  })
  t.same(odd.target!.options, [{ name: '--now', not: false, args: [], known: false }])
  t.same(odd.matches[1], { module: 'mark', options: [option('--mark', '1')] })
  for (const name of readable)
    for (const table of parseSave(readFileSync(join(REAL, name), 'utf8')).tables)
      for (const { words, text } of table.rules) {
        const parsed = parseRule(words)
        const options = [...parsed.matches, parsed.target ?? { options: [] }].flatMap(each => [
          ...each.options,
        ])
        t.ok(
          options.every(each => each.known),
          text,
        )
      }
  t.end()
})

t.test('rules that make no sense', t => {
  const cases: Record<string, RegExp> = {
    '-s 1.1.1.1 -s 2.2.2.2': /multiple -s flags/,
    '-j DROP -j ACCEPT': /multiple -j flags/,
    '-j DROP -g x': /multiple -j flags/,
    '! ! -p tcp': /multiple consecutive !/,
    '-j DROP !': /nothing appropriate following !/,
    '! -j DROP': /cannot have ! before -j/,
    '-j DROP stray': /Bad argument `stray'/,
    '-m mark --mark': /requires an argument/,
    '--dport 80': /unknown option "--dport"/,
    '-j': /requires an argument/,
  }
  for (const [text, expected] of Object.entries(cases))
    t.throws(() => rule(text), { name: 'RuleTextError', message: expected }, text)
  t.end()
})

const noise = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        ...[
          '*filter',
          'COMMIT',
          ':A - [0:0]',
          ':B ACCEPT [1:2]',
          '-A A',
          '[1:2] -A A',
          ' -j',
          ' "',
          '\\',
          '#',
          '\n',
          ' ',
        ],
        ...["# Table `raw' is incompatible, use 'nft' tool.", ' -m', ' !', ' --x', ' DROP', '\t', '\0', '\r'],
      ),
    )
    .map(parts => parts.join('')),
)

t.test('no text makes the parsers fail otherwise than they say', t => {
  fc.assert(
    fc.property(noise, text => {
      assert.equal(quotesClose(text), splitWords(text) !== null)
      problem(() => printSave(parseSave(text)))
      try {
        parseRule(splitWords(text) ?? [])
      } catch (error) {
        if (!(error instanceof RuleTextError)) throw error
      }
    }),
    { numRuns: 3000 },
  )
  t.end()
})

t.test('a text of one very long line or of many quotes takes no more than its length', t => {
  const long = `*filter\n:A - [0:0]\n-A A --comment "${'\\"'.repeat(200_000)}"\nCOMMIT\n`
  t.equal(parseSave(long).tables[0]!.rules[0]!.words[1]!.length, 200_000)
  const many = `*filter\n:A - [0:0]\n${'-A A -p tcp -m tcp --dport 80 -m comment --comment "a b" -j DROP\n'.repeat(50_000)}COMMIT\n`
  t.equal(parseSave(many).tables[0]!.rules.length, 50_000)
  t.end()
})
