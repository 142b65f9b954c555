import fc from 'fast-check'
import t from 'tap'
import { PodfenceError } from '../../src/errors.ts'
import type { PortRange } from '../../src/model/values.ts'
import { goto, heading, nflog, rule, setMark } from '../../src/render/action.ts'
import { marksOf, markText } from '../../src/render/mark.ts'
import {
  destination,
  inInterface,
  outInterface,
  protocol,
  source,
  sourceMac,
} from '../../src/render/match.ts'
import { base32Hash, chainName, identityOf, NameBook, setName } from '../../src/render/name.ts'
import { attachmentOf } from '../../src/render/options.ts'
import {
  commonPorts,
  joinRanges,
  otherPorts,
  portDemand,
  SLOTS,
  slotPieces,
} from '../../src/render/port-set.ts'
import { protocolText } from '../../src/render/protocol-text.ts'
import { rateText } from '../../src/render/rate.ts'
import {
  canonicalMac,
  isInterfaceName,
  isPlain,
  messageText,
  quoted,
  safeText,
} from '../../src/render/safe-text.ts'
import { OPTIONS, ports } from './fixtures/worlds.ts'

t.test('base32 is that of the RFC, in lower case', async t => {
  // sha256 of the empty text: e3b0c442 98fc1c14 ...; 11100 01110 11000 01100 01000 10...
  t.match(base32Hash(''), /^4oymi/)
  t.equal(base32Hash('').length, 24)
  t.match(base32Hash('x'), /^[a-z2-7]{24}$/)
})

t.test('names fit the kernel, whatever they are made of', async t => {
  const kinds = ['in', 'out', 'from', 'to', 'f', 't', 's'] as const
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fc.array(fc.string({ unit: 'binary' })), (kind, parts) => {
      const name = chainName(kind, parts)
      return name.length === 28 && new RegExp(`^podf-${kind}-[a-z2-7]+$`).test(name)
    }),
  )
  t.match(setName(['tag:x'], 4), /^podf-4-[a-z2-7]{24}$/)
  t.match(setName(['tag:x', 'closes'], 6), /^podf-6-[a-z2-7]{24}$/)
  t.equal(setName(['tag:x'], 4).length, 31)
})

t.test('parts never run into each other', async t => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.string()), (left, right) => {
      const same = left.length === right.length && left.every((part, index) => part === right[index])
      return same === (identityOf(left) === identityOf(right))
    }),
  )
  t.not(identityOf(['a', 'bc']), identityOf(['ab', 'c']))
  t.not(identityOf(['1:a', '']), identityOf(['', '1:a']))
})

t.test('a name has one holder', async t => {
  const book = new NameBook()
  t.equal(book.claim('list a', 'n'), null)
  t.equal(book.claim('list a', 'n'), null, 'twice is once')
  t.same(book.claim('list b', 'n'), { name: 'n', holder: 'list a', refused: 'list b' })
  t.equal(book.nameOf('list b'), null)
  t.equal(book.nameOf('list a'), 'n')
  t.equal(book.collisions().length, 1)
  book.release('list a')
  t.equal(book.nameOf('list a'), null)
  t.equal(book.claim('list b', 'n'), null)
  t.same(book.collisions(), [])
  book.release('list never')
  book.claim('list c', 'n')
  book.release('list c')
  t.same(book.collisions(), [])
})

t.test('safe text', async t => {
  t.equal(safeText('k8s/default.web:x-1_y', 64), 'k8s/default.web:x-1_y')
  t.equal(safeText('a b\n"-j ACCEPT"', 64), 'a_b__-j_ACCEPT_')
  t.equal(safeText('täg 😀', 64), 't_g___')
  t.equal(safeText('x'.repeat(10_000), 64), 'x'.repeat(64))
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), text =>
      /^[A-Za-z0-9_.:/-]{0,20}$/.test(safeText(text, 20)),
    ),
  )
  t.equal(messageText('profile a\nb'), 'profile a_b')
  t.equal(messageText('é'.repeat(300)).length, 200)
  t.ok(isPlain('-s 10.0.0.0/8 -j DROP'))
  for (const text of ['a\n', 'a\0', 'a\x7f', 'é', '\u2028']) t.notOk(isPlain(text))
})

t.test('arguments are quoted as iptables-save quotes them', async t => {
  t.equal(quoted('calico-packet_1'), 'calico-packet_1')
  t.equal(quoted('podf:L:x'), '"podf:L:x"')
  t.equal(quoted('a.b'), '"a.b"')
  t.equal(nflog(0, 'seen'), '-j NFLOG --nflog-prefix seen')
  t.equal(
    nflog(9, `podf:${'y'.repeat(99)}`),
    `-j NFLOG --nflog-prefix "podf:${'y'.repeat(58)}" --nflog-group 9`,
  )
})

t.test('a heading holds 64 bytes', async t => {
  t.equal(
    heading(4, 'abcdefghijklmnopqrst', 'in/profile/web'),
    '-s 255.255.255.255/32 -m comment --comment "podf:abcdefghijklmnop:in/profile/web"',
  )
  const long = heading(6, 'a'.repeat(51), `in/profile/${'w'.repeat(99)}`)
  t.match(long, /^-s ff00::\/8 -m comment --comment "/)
  t.equal(/"(.*)"/.exec(long)?.[1]?.length, 64)
})

t.test('interface names and macs', async t => {
  for (const name of ['cali1', 'eth0.100', 'a_b-c', '123456789012345']) t.ok(isInterfaceName(name), name)
  for (const name of ['', 'cali+', '1234567890123456', 'a b', 'a/b', 'a\n', 'é', '!'])
    t.notOk(isInterfaceName(name), name)
  t.equal(canonicalMac('EE:ee:0F:00:01:02'), 'ee:ee:0f:00:01:02')
  for (const mac of [
    '',
    'ee:ee:ee:ee:ee',
    'ee-ee-ee-ee-ee-ee',
    'ee:ee:ee:ee:ee:eg',
    'ee:ee:ee:ee:ee:ee ! -j',
  ])
    t.equal(canonicalMac(mac), null)
})

t.test('attachments', async t => {
  const options = { interfacePrefixes: ['cali', 'tap'], bridges: ['cali-br', 'cbr0'] }
  t.same(attachmentOf('cali1', options), { kind: 'routed', interface: 'cali1' })
  t.same(attachmentOf('tap7', options), { kind: 'routed', interface: 'tap7' })
  t.same(attachmentOf('veth1', options), { kind: 'bridge', port: 'veth1', bridge: null })
  t.same(attachmentOf('cali-br', options), { kind: 'bridge', port: null, bridge: 'cali-br' })
})

t.test('a rule is in the order of iptables-save', async t => {
  const words = [
    sourceMac('ee:ee:ee:ee:ee:01', true),
    protocol(6, true),
    outInterface('cbr0'),
    inInterface('cali+', true),
    destination('10.0.0.0/8', true),
    source('10.0.0.1/32'),
  ]
  t.equal(
    rule(words, goto('podf-allow')),
    '-s 10.0.0.1/32 ! -d 10.0.0.0/8 ! -i cali+ -o cbr0 ! -p tcp -m mac ! --mac-source ee:ee:ee:ee:ee:01 -g podf-allow',
  )
  t.throws(() => rule([inInterface('a\n-A INPUT -j ACCEPT')], '-j DROP'), { code: 'KERNEL_REFUSED' })
})

t.test('marks', async t => {
  t.same(marksOf(0xff000000), { accept: 0x1000000, pass: 0x2000000, forwarded: 0x4000000, all: 0x7000000 })
  t.same(marksOf(0xe0000000), {
    accept: 0x20000000,
    pass: 0x40000000,
    forwarded: 0x80000000,
    all: 0xe0000000,
  })
  t.same(marksOf(0b10110), { accept: 2, pass: 4, forwarded: 16, all: 22 })
  for (const mask of [0, 3, 0x80000001, -1, 1.5, Number.NaN, 0x100000000])
    t.throws(() => marksOf(mask), PodfenceError, String(mask))
  t.equal(markText(0x80000000), '0x80000000')
  t.equal(markText(0), '0x0')
  t.equal(setMark(0, 0xe0000000), '-j MARK --set-xmark 0x0/0xe0000000')
})

t.test('rates are those the kernel keeps', async t => {
  const cases = [
    [1, '1/sec'],
    [10, '10/sec'],
    [300, '303/sec'],
    [9999, '10000/sec'],
    [10000, '10000/sec'],
    [0, '1/sec'],
    [-5, '1/sec'],
    [1e9, '10000/sec'],
    [2.7, '2/sec'],
    [Number.NaN, '1/sec'],
  ] as const
  for (const [perSecond, text] of cases) t.equal(rateText(perSecond), text)
})

t.test('protocols by name', async t => {
  const names = new Map([
    [47, 'gre'],
    [6, 'other'],
    [99, 'a b'],
    [98, '-x'],
  ])
  t.equal(protocolText(6, names), 'tcp', 'iptables itself names these')
  t.equal(protocolText(47, names), 'gre')
  t.equal(protocolText(47), '47')
  t.equal(protocolText(99, names), '99', 'a name that is none')
  t.equal(protocolText(98, names), '98')
})

t.test('sets of ports', async t => {
  t.same(joinRanges(ports('10:20', 5, '15:30', 31, 6)), ports('5:6', '10:31'))
  t.same(otherPorts([]), ports('0:65535'))
  t.same(otherPorts(ports('0:65535')), [])
  t.same(otherPorts(ports(0, 5, '100:65535')), ports('1:4', '6:99'))
  t.same(commonPorts(ports('1:10', '20:30'), ports('5:25')), ports('5:10', '20:25'))
})

const RANGES = fc.array(
  fc
    .tuple(fc.nat({ max: 65535 }), fc.nat({ max: 40 }))
    .map(([first, more]) => ({ first, last: Math.min(65535, first + more) })),
  { maxLength: 40 },
)
const holds = (ranges: readonly PortRange[], port: number) =>
  ranges.some(({ first, last }) => first <= port && port <= last)

t.test('what ports are demanded, by every port near an end', async t => {
  let negated = 0
  fc.assert(
    fc.property(fc.option(RANGES, { nil: undefined }), fc.option(RANGES, { nil: undefined }), (is, not) => {
      const demand = portDemand(is, not)
      if (demand.kind === 'none') negated++
      const near = [...(is ?? []), ...(not ?? [])].flatMap(({ first, last }) => [
        first - 1,
        first,
        last,
        last + 1,
      ])
      return [0, 65535, 777, ...near]
        .filter(port => port >= 0 && port <= 65535)
        .every(port => {
          const expected = (is === undefined || holds(is, port)) && !holds(not ?? [], port)
          switch (demand.kind) {
            case 'any':
              return expected
            case 'never':
              return !expected
            default:
              return (holds(demand.ranges, port) === (demand.kind === 'some')) === expected
          }
        })
    }),
    { seed: 11 },
  )
  t.ok(negated > 5, 'some demands were negative')
  t.same(portDemand(undefined, undefined), { kind: 'any' })
  const many = Array.from({ length: 300 }, (_, index) => ({ first: 10 * index, last: 10 * index }))
  t.equal(portDemand(undefined, many).kind, 'some', 'too many matches for one rule')
})

t.test('pieces of fifteen slots', async t => {
  fc.assert(
    fc.property(RANGES.map(joinRanges), ranges => {
      const pieces = slotPieces(ranges)
      const slots = (piece: readonly PortRange[]) =>
        piece.reduce((sum, { first, last }) => sum + (first === last ? 1 : 2), 0)
      return (
        JSON.stringify(pieces.flat()) === JSON.stringify(ranges) &&
        pieces.every(piece => slots(piece) <= SLOTS)
      )
    }),
  )
  t.equal(slotPieces(ports(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29)).length, 1)
  t.same(OPTIONS.interfacePrefixes, ['cali'])
})
