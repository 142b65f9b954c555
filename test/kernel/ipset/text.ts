import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { parseSetCommand, printSetCommand, type SetCommand } from '../../../src/kernel/ipset/commands.ts'
import { canonicalElement } from '../../../src/kernel/ipset/element.ts'
import { IpsetTextError, readIpsetFailure } from '../../../src/kernel/ipset/failure.ts'
import { parseIpsetSave } from '../../../src/kernel/ipset/parse.ts'

/** Printed by ipset 7.17. */
const saved = readFileSync(join(import.meta.dirname, 'real/ipset-save.txt'), 'utf8')

t.test('real output of many types', t => {
  const sets = new Map(parseIpsetSave(saved).map(set => [set.name, set]))
  t.equal(sets.size, 9)
  t.match(sets.get('podf-4-AAAA'), { type: 'hash:ip', family: 4, timeout: null, maxelem: 65536 })
  t.same(sets.get('podf-6-AAAA')!.family, 6)
  t.same(
    sets.get('podf-cut-4')!.elements.map(each => [each.element, each.timeout]),
    [
      ['10.0.0.1,tcp:80,10.0.0.2', 599],
      ['10.0.0.1,icmp:echo-request,10.0.0.2', 0],
    ],
  )
  t.equal(sets.get('podf-cut-4')!.timeout, 600)
  const nets = sets.get('nets')!.elements
  t.same(
    nets.map(each => [each.element, each.nomatch, each.comment, each.extra.get('packets')]),
    [
      ['1.1.1.1', false, null, '5'],
      ['10.1.0.0/16', true, null, '0'],
      ['10.0.0.0/8', false, 'a long comment, with -dashes', '0'],
    ],
  )
  t.same(sets.get('all'), {
    name: 'all',
    type: 'list:set',
    family: null,
    timeout: null,
    maxelem: null,
    options: ['size', '8'],
    elements: [{ element: 'nets', timeout: null, comment: null, nomatch: false, extra: new Map() }],
  })
  t.match(sets.get('bm'), { type: 'bitmap:port', family: null, options: ['range', '1-100', 'timeout', '9'] })
  t.end()
})

t.test('unknown types and options are kept', t => {
  const [set] = parseIpsetSave(
    'create x hash:moon,tide family inet9 phase full newflag\nadd x a,b glow 3 comment "x"\n',
  )
  t.match(set, {
    type: 'hash:moon,tide',
    family: null,
    options: ['family', 'inet9', 'phase', 'full', 'newflag'],
  })
  t.match(set!.elements[0], { element: 'a,b', comment: 'x', extra: new Map([['glow', '3']]) })
  t.end()
})

t.test('broken text names its line', t => {
  const cases: Record<string, number> = {
    'hello\n': 1,
    'create a hash:ip\ncreate a hash:ip\n': 2,
    'create a\n': 1,
    'add a 1.1.1.1\n': 1,
    'create a hash:ip\n\nadd a\n': 3,
    'create a hash:ip\nadd a 1.1.1.1 timeout\n': 2,
    'create a hash:ip\nadd a 1.1.1.1 timeout soon\n': 2,
    'create a hash:ip\nadd a 1.1.1.1 comment "x\n': 2,
    'create a hash:ip\ndel a 1.1.1.1\n': 2,
  }
  for (const [text, line] of Object.entries(cases))
    t.throws(() => parseIpsetSave(text), { name: 'IpsetTextError', line }, text)
  t.same(parseIpsetSave('# made by ipset\n\n'), [])
  t.end()
})

t.test('the words of a failure', t => {
  const cases: Record<string, unknown> = {
    'ipset v7.17: The set with the given name does not exist\n': ['no-such-set', null],
    'ipset v7.17: Set cannot be created: set with the same name already exists': ['set-exists', null],
    'ipset v7.17: Set cannot be destroyed: it is in use by a kernel component': ['in-use', null],
    'ipset v7.17: Hash is full, cannot add more elements': ['full', null],
    "ipset v7.17: Element cannot be added to the set: it's already added": ['already-added', null],
    "ipset v7.17: Element cannot be deleted from the set: it's not added": ['not-added', null],
    'ipset v7.17: The sets cannot be swapped: their type does not match': ['different-types', null],
    'ipset v7.17: Kernel error received: set type not supported': ['unsupported', null],
    'ipset v7.11: Kernel and userspace incompatible: settype hash:ip with revision 6 not supported by userspace.':
      ['unsupported', null],
    'ipset v7.17: Error in line 3: Syntax error: cannot parse 1.1.1.300: resolving to IPv4 address failed': [
      'syntax',
      3,
    ],
    'ipset v7.17: Kernel error received: Operation not permitted': ['denied', null],
    'ipset v7.17: Something else': ['unknown', null],
  }
  for (const [stderr, expected] of Object.entries(cases)) {
    const failure = readIpsetFailure(`noise\n${stderr}`)!
    t.same([failure.problem, failure.line], expected, stderr)
  }
  t.equal(readIpsetFailure('Warning: 1.1.1.1 is in set a.\n1.1.1.2 is NOT in set a.\n'), null)
  t.end()
})

t.test('commands as text', t => {
  const cases: readonly (readonly [SetCommand, string])[] = [
    [
      {
        verb: 'create',
        set: 'podf-4-A',
        type: 'hash:ip',
        family: 4,
        maxelem: 1048576,
        timeout: null,
        exist: false,
      },
      'create podf-4-A hash:ip family inet maxelem 1048576',
    ],
    [
      {
        verb: 'create',
        set: 'c',
        type: 'hash:ip,port,ip',
        family: 6,
        maxelem: null,
        timeout: 60,
        exist: true,
      },
      'create c hash:ip,port,ip family inet6 timeout 60 -exist',
    ],
    [{ verb: 'add', set: 'a', element: '1.1.1.1', timeout: null, exist: true }, 'add a 1.1.1.1 -exist'],
    [
      { verb: 'add', set: 'a', element: '1.1.1.1,tcp:80,2.2.2.2', timeout: 5, exist: false },
      'add a 1.1.1.1,tcp:80,2.2.2.2 timeout 5',
    ],
    [{ verb: 'del', set: 'a', element: '::1', exist: false }, 'del a ::1'],
    [{ verb: 'test', set: 'a', element: '0.0.0.1' }, 'test a 0.0.0.1'],
    [{ verb: 'swap', set: 'a', other: 'b' }, 'swap a b'],
    [{ verb: 'rename', set: 'a', other: 'b' }, 'rename a b'],
    [{ verb: 'flush', set: 'a' }, 'flush a'],
    [{ verb: 'destroy', set: 'a' }, 'destroy a'],
  ]
  for (const [command, text] of cases) {
    t.equal(printSetCommand(command), text)
    t.same(parseSetCommand(text), command)
  }
  t.end()
})

t.test('no value slips out of its word', t => {
  const bad = [
    '',
    ' ',
    'a b',
    'a\nb',
    'a"b',
    "a'b",
    'a\\b',
    '-exist',
    '#x',
    '!',
    'a\tb',
    'a\u0000',
    'ä',
    'a\u2028b',
  ]
  for (const word of bad) {
    t.throws(() => printSetCommand({ verb: 'flush', set: word }), RangeError)
    t.throws(() => printSetCommand({ verb: 'del', set: 'a', element: word, exist: false }), RangeError)
  }
  t.throws(() => printSetCommand({ verb: 'flush', set: 'a'.repeat(32) }), RangeError)
  const timeout = (seconds: number) => () =>
    printSetCommand({ verb: 'add', set: 'a', element: 'b', timeout: seconds, exist: false })
  for (const seconds of [-1, 1.5, NaN, 2147484]) t.throws(timeout(seconds), RangeError)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), (set, element) => {
      const command: SetCommand = { verb: 'add', set, element, timeout: null, exist: false }
      let text: string
      try {
        text = printSetCommand(command)
      } catch (error) {
        if (error instanceof RangeError) return
        throw error
      }
      assert.deepEqual(parseSetCommand(text), command)
    }),
    { numRuns: 1000 },
  )
  for (const line of [
    '',
    'add',
    'add a',
    'save',
    'add a b c',
    'create a hash:ip family inet7',
    'flush',
    'del a b timeout 3',
    'add a b timeout x',
    'create a hash:ip comment',
    'test a b -exist',
    'swap a b -exist',
  ])
    t.equal(parseSetCommand(line), null, line)
  t.end()
})

t.test('elements in the form that ipset prints', t => {
  const cases: readonly (readonly [type: string, family: 4 | 6, text: string, expected: string | null])[] = [
    ['hash:ip', 4, '10.0.0.1/32', '10.0.0.1'],
    ['hash:ip', 4, '2001:db8::1', null],
    ['hash:ip', 6, '2001:DB8:0::1', '2001:db8::1'],
    ['hash:ip', 6, '::ffff:102:304', '::ffff:1.2.3.4'],
    ['hash:net', 4, '10.0.0.5/24', '10.0.0.0/24'],
    ['hash:net', 4, '10.0.0.5/32', '10.0.0.5'],
    ['hash:net', 4, '0.0.0.0/0', null],
    ['hash:ip,port', 4, '1.1.1.1,80', '1.1.1.1,tcp:80'],
    ['hash:ip,port', 4, '1.1.1.1,17:53', '1.1.1.1,udp:53'],
    ['hash:ip,port', 4, '1.1.1.1,icmp:8/0', '1.1.1.1,icmp:echo-request'],
    ['hash:ip,port', 4, '1.1.1.1,icmp:8/1', '1.1.1.1,icmp:8/1'],
    ['hash:ip,port', 4, '1.1.1.1,icmpv6:8/1', null],
    ['hash:ip,port', 6, '::1,icmpv6:136/0', '::1,ipv6-icmp:neighbour-advertisement'],
    ['hash:ip,port', 4, '1.1.1.1,gre:0', '1.1.1.1,gre:0'],
    ['hash:ip,port', 4, '1.1.1.1,gre:7', null],
    ['hash:ip,port', 4, '1.1.1.1,253:0', '1.1.1.1,253:0'],
    ['hash:ip,port', 4, '1.1.1.1,tcp:70000', null],
    ['hash:ip,port', 4, '1.1.1.1', null],
    ['hash:ip,port,ip', 4, '1.1.1.1,132:80,2.2.2.2', '1.1.1.1,sctp:80,2.2.2.2'],
    ['hash:moon', 4, 'any thing', 'any thing'],
  ]
  for (const [type, family, text, expected] of cases)
    t.equal(canonicalElement(type, family, text), expected, `${type} ${text}`)
  for (const set of parseIpsetSave(saved))
    for (const { element } of set.elements)
      t.equal(canonicalElement(set.type, set.family ?? 4, element), element)
  t.end()
})

t.test('no text makes the parser fail otherwise than it says', t => {
  const parts = fc.constantFrom(
    'create ',
    'add ',
    'a ',
    'b ',
    'hash:ip ',
    'timeout ',
    '3 ',
    'comment ',
    '"',
    ' ',
    '\n',
    '\\',
    '\0',
    'nomatch ',
    '\r',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(parts).map(each => each.join('')),
      ),
      text => {
        try {
          parseIpsetSave(text)
        } catch (error) {
          if (!(error instanceof IpsetTextError)) throw error
        }
        parseSetCommand(text)
        readIpsetFailure(text)
      },
    ),
    { numRuns: 3000 },
  )
  t.end()
})
