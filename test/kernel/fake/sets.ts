import fc from 'fast-check'
import t from 'tap'
import { FakeKernel } from '../../../src/kernel/fake/kernel.ts'
import { parseIpsetSave } from '../../../src/kernel/ipset/parse.ts'

/** Lines in order, and what ipset 7.17 says to the last of them; empty: nothing, exit 0. */
const SAID: readonly (readonly [lines: readonly string[], stderr: string])[] = [
  [['create a hash:ip', 'create a hash:ip'], 'Set cannot be created: set with the same name already exists'],
  [['create a hash:ip', 'create a hash:ip -exist'], ''],
  [['create a hash:ip', '-exist create a hash:ip'], ''],
  [
    ['create a hash:ip', 'create a hash:ip maxelem 3 -exist'],
    'Set cannot be created: set with the same name already exists',
  ],
  // The kernel does not compare families.
  [['create a hash:ip', 'create a hash:ip family inet6 -exist'], ''],
  [['create t hash:bogus'], "Syntax error: typename 'hash:bogus' is unknown"],
  [['create t hash:ip family inet7'], 'Syntax error: unknown inet family inet7'],
  [['create t hash:ip maxelem x'], "Syntax error: 'x' is invalid as number"],
  [['create t hash:ip timeout -1'], "Syntax error: '-1' is out of range 0-2147483"],
  [[`create ${'n'.repeat(31)} hash:ip`], ''],
  [
    [`create ${'n'.repeat(32)} hash:ip`],
    `Syntax error: setname '${'n'.repeat(32)}' is longer than 31 characters`,
  ],
  [['add nope 10.0.0.1'], 'The set with the given name does not exist'],
  [['add a4 10.0.0.1', 'add a4 10.0.0.1'], "Element cannot be added to the set: it's already added"],
  [['add a4 10.0.0.1', 'add a4 10.0.0.1 -exist'], ''],
  [['add a4 10.0.0.300'], 'Syntax error: cannot parse 10.0.0.300: resolving to IPv4 address failed'],
  [['add a4 2001:db8::1'], 'Syntax error: cannot parse 2001:db8::1: resolving to IPv4 address failed'],
  [['add a6 10.0.0.1'], 'Syntax error: cannot parse 10.0.0.1: resolving to IPv6 address failed'],
  [['add a6 2001:db8::/126'], 'Syntax error: plain IP address must be supplied: 2001:db8::/126'],
  [['add a4 0.0.0.0'], 'Null-valued element, cannot be stored in a hash type of set'],
  [['add m 10.0.0.1', 'add m 10.0.0.2', 'add m 10.0.0.3'], 'Hash is full, cannot add more elements'],
  [['add m 10.0.0.1', 'add m 10.0.0.2', 'add m 10.0.0.2 -exist'], ''],
  [['add n 0.0.0.0/0'], 'The value of the CIDR parameter of the IP address is invalid'],
  [['add cut 10.0.0.1,tcp:80'], 'Syntax error: Third element is missing from 10.0.0.1,tcp:80.'],
  [['add a4 10.0.0.9 timeout 4'], 'Timeout cannot be used: set was created without timeout support'],
  [['add a4 10.0.0.9 comment x'], 'Comment cannot be used: set was created without comment support'],
  [['add cut 1.1.1.1,tcp:1,2.2.2.2 timeout 2147484'], "Syntax error: '2147484' is out of range 0-2147483"],
  [['del a4 10.0.0.1'], "Element cannot be deleted from the set: it's not added"],
  [['del a4 10.0.0.1 -exist'], ''],
  [['swap a4 m'], ''],
  [['swap a4 n'], 'The sets cannot be swapped: their type does not match'],
  [['swap a4 a6'], 'The sets cannot be swapped: their type does not match'],
  [['swap a4 nope'], 'Sets cannot be swapped: the second set does not exist'],
  [['rename a4 m'], 'Set cannot be renamed: a set with the new name already exists'],
  [['rename a4 z', 'flush z'], ''],
  [['destroy nope'], 'The set with the given name does not exist'],
  [['destroy used'], 'Set cannot be destroyed: it is in use by a kernel component'],
  [['destroy'], 'Set cannot be destroyed: it is in use by a kernel component'],
  [['rename used z'], 'Set cannot be renamed: it is in use by another system'],
  [['flush used'], ''],
  [['swap used a4', 'destroy a4'], ''],
  [['flush nope'], 'The set with the given name does not exist'],
  [['# a comment'], ''],
  [['-A a4 1.1.1.1'], ''],
]

function prepared(now: () => number = () => 0): FakeKernel {
  const kernel = new FakeKernel({ now })
  for (const line of [
    'create a4 hash:ip',
    'create a6 hash:ip family inet6',
    'create m hash:ip maxelem 2',
    'create n hash:net',
    'create cut hash:ip,port,ip timeout 60',
    'create used hash:ip',
  ])
    if (kernel.ipset(line).exit !== 0) throw new Error(line)
  kernel.restore(4, '*filter\n-A FORWARD -m set --match-set used src -j DROP\nCOMMIT\n')
  return kernel
}

const elements = (kernel: FakeKernel, name: string): string[] =>
  parseIpsetSave(kernel.ipsetSave(name))[0]!.elements.map(each => each.element)

t.test('what ipset says', t => {
  for (const [lines, expected] of SAID) {
    const kernel = prepared()
    const results = lines.map(line => kernel.ipset(line))
    const last = results.pop()!
    t.ok(
      results.every(result => result.exit === 0),
      lines.join('; '),
    )
    const stderr = expected === '' ? '' : `ipset v7.17: ${expected}\n`
    t.same(last, { exit: expected === '' ? 0 : 1, stdout: '', stderr }, lines.join('; '))
  }
  t.match(prepared().ipset('create t hash:ip bogus 3').stderr, /Unknown argument: `bogus'/)
  t.match(prepared().ipset('add a4').stderr, /Missing second mandatory argument to command add/)
  t.same(prepared().ipset('bogus'), { exit: 2, stdout: '', stderr: 'No command specified\n' })
  t.end()
})

t.test('test answers on stderr', t => {
  const kernel = prepared()
  kernel.ipset('add cut 10.0.0.1,6:80,10.0.0.2')
  t.same(kernel.ipset('test cut 10.0.0.1,tcp:80,10.0.0.2'), {
    exit: 0,
    stdout: '',
    stderr: 'Warning: 10.0.0.1,tcp:80,10.0.0.2 is in set cut.\n',
  })
  t.same(kernel.ipset('test a6 2001:0db8::1'), {
    exit: 1,
    stdout: '',
    stderr: '2001:db8::1 is NOT in set a6.\n',
  })
  t.end()
})

t.test('networks and swaps', t => {
  const kernel = prepared()
  kernel.ipset('add a4 10.0.1.0/30')
  t.same(elements(kernel, 'a4'), ['10.0.1.0', '10.0.1.1', '10.0.1.2', '10.0.1.3'])
  kernel.ipset('swap a4 m')
  t.same(elements(kernel, 'm').length, 4)
  t.match(kernel.ipsetSave('a4'), /^create a4 hash:ip .* maxelem 2 /, 'its limits go with it')
  kernel.ipset('add n 10.0.0.5/24')
  kernel.ipset('add n 10.0.0.128/25 nomatch')
  t.match(kernel.ipsetSave('n'), /add n 10\.0\.0\.0\/24\nadd n 10\.0\.0\.128\/25 nomatch\n/)
  t.end()
})

t.test('timeouts go by the clock', t => {
  let clock = 5_000
  const kernel = prepared(() => clock)
  kernel.ipset('add cut 1.1.1.1,tcp:1,2.2.2.2')
  kernel.ipset('add cut 1.1.1.1,tcp:2,2.2.2.2 timeout 3')
  kernel.ipset('add cut 1.1.1.1,tcp:3,2.2.2.2 timeout 0')
  clock += 2_900
  t.match(
    kernel.ipsetSave('cut'),
    /tcp:1,2\.2\.2\.2 timeout 57\nadd cut 1\.1\.1\.1,tcp:2,2\.2\.2\.2 timeout 1\nadd cut 1\.1\.1\.1,tcp:3,2\.2\.2\.2 timeout 0\n/,
  )
  clock += 100
  t.same(elements(kernel, 'cut'), ['1.1.1.1,tcp:1,2.2.2.2', '1.1.1.1,tcp:3,2.2.2.2'])
  kernel.ipset('add cut 1.1.1.1,tcp:1,2.2.2.2 timeout 90 -exist')
  clock += 80_000
  t.same(elements(kernel, 'cut').length, 2, 'added again, it starts anew')
  clock += 10_000
  t.same(elements(kernel, 'cut'), ['1.1.1.1,tcp:3,2.2.2.2'])
  t.end()
})

t.test('a set is free when its last rule went, and nobody holds it', t => {
  const kernel = prepared()
  kernel.holdSet('used')
  t.equal(kernel.restore(4, '*filter\n-F FORWARD\nCOMMIT\n').exit, 0)
  t.match(kernel.ipset('destroy used').stderr, /in use/)
  kernel.releaseSet('used')
  t.equal(kernel.ipset('destroy used').exit, 0)
  t.match(
    kernel.restore(4, '*filter\n-A FORWARD -m set --match-set used src\nCOMMIT\n').stderr,
    /Set used doesn't exist/,
  )
  t.end()
})

t.test('no line breaks it', t => {
  const parts = fc.constantFrom(
    'create ',
    'add ',
    'del ',
    'swap ',
    'destroy ',
    'a4 ',
    'n ',
    'cut ',
    'used ',
    'hash:ip ',
    '10.0.0.1',
    ',tcp:80,',
    '/24 ',
    '-exist ',
    'timeout ',
    '3 ',
    '"',
    '\0',
    'family inet6 ',
    '-',
    ' ',
  )
  fc.assert(
    fc.property(
      fc.array(fc.oneof(parts, fc.string()), { maxLength: 8 }).map(each => each.join('')),
      line => {
        const kernel = prepared()
        const { exit, stderr } = kernel.ipset(line)
        if (exit === 0 ? stderr !== '' && !stderr.startsWith('Warning: ') : stderr === '')
          throw new Error(stderr)
        parseIpsetSave(kernel.ipsetSave())
      },
    ),
    { numRuns: 2000 },
  )
  t.end()
})
