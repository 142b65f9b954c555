import { BlockList, isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import {
  type Cidr,
  canonicalAddress,
  cidrContains,
  cidrOverlap,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
  parseSingleAddress,
  subtractCidr,
} from '../../src/model/cidr.ts'

const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text)
  if (parsed === null) throw new Error(`not a CIDR: ${text}`)
  return parsed
}

t.test('canonical text is what glibc prints', t => {
  // The right side was printed by inet_ntop of glibc.
  const pairs = {
    '10.0.0.1': '10.0.0.1',
    '255.255.255.255': '255.255.255.255',
    '::1.2.3.4': '::1.2.3.4',
    '::0.0.1.2': '::102',
    '::ffff:0:1': '::ffff:0.0.0.1',
    '0:0:0:0:0:ffff:0:0': '::ffff:0.0.0.0',
    '::1:2': '::0.1.0.2',
    '::ffff': '::ffff',
    '0:0:0:0:0:0:0:0': '::',
    '1:0:0:2:0:0:0:0': '1:0:0:2::',
    '1:0:0:2:3:0:0:4': '1::2:3:0:0:4',
    '1:0:2:3:4:5:6:7': '1:0:2:3:4:5:6:7',
    '0:1:2:3:4:5:6:7': '0:1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7::': '1:2:3:4:5:6:7:0',
    '64:ff9b::1.2.3.4': '64:ff9b::102:304',
    '::ffff:0:1.2.3.4': '::ffff:0:102:304',
    '0:0:1::': '0:0:1::',
    '2001:0DB8::00aF': '2001:db8::af',
  }
  for (const [text, canonical] of Object.entries(pairs)) {
    t.equal(canonicalAddress(text), canonical, text)
    const address = parseAddress(text)
    t.equal(address && formatAddress(address.value, address.family), canonical, `${text} through its number`)
  }
  t.end()
})

t.test('what is no address', t => {
  for (const text of [
    ...[
      '',
      ' ',
      '1',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '1.2.3.04',
      '0x1.2.3.4',
      '256.1.1.1',
      '1..2.3',
      '1.2.3.',
    ],
    ...[
      '.1.2.3',
      '1.2.3.4 ',
      ' 1.2.3.4',
      '+1.2.3.4',
      '1.2.3.4\n',
      '10.0.0.1/32',
      '١.2.3.4',
      ':',
      ':::',
      '1:2',
    ],
    ...[
      '1::2::3',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      '::1:2:3:4:5:6:7:8',
      '12345::',
      'g::',
      '::1%eth0',
    ],
    ...[
      '[::1]',
      '1:',
      ':1',
      '::1:',
      '1:2:3:4:5:6:7:1.2.3.4',
      '::1.2.3',
      '::01.2.3.4',
      '::1.2.3.4:5',
      '1.2.3.4::',
    ],
  ]) {
    t.equal(canonicalAddress(text), null, JSON.stringify(text))
    t.equal(parseAddress(text), null)
    t.equal(parseCidr(text === '10.0.0.1/32' ? '' : text), null)
  }
  t.end()
})

t.test('what is no network', t => {
  for (const text of ['10', '10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/255.0.0.0', '/8'])
    t.equal(parseCidr(text), null, text)
  for (const text of ['10.0.0.0/-1', '10.0.0.0/ 8', '10.0.0.0/8/8', '10.0.0.0/0.0.255.255', '10.0.0.0/1e1'])
    t.equal(parseCidr(text), null, text)
  t.end()
})

t.test('networks are masked', t => {
  t.equal(formatCidr(cidr('10.1.2.3/8')), '10.0.0.0/8')
  t.equal(formatCidr(cidr('10.1.2.3')), '10.1.2.3/32')
  t.equal(formatCidr(cidr('255.255.255.255/0')), '0.0.0.0/0')
  t.equal(formatCidr(cidr('192.168.255.255/17')), '192.168.128.0/17')
  t.equal(formatCidr(cidr('fd00:1:2:3::5/48')), 'fd00:1:2::/48')
  t.equal(formatCidr(cidr('::1')), '::1/128')
  t.equal(formatCidr(cidr('ff::/0')), '::/0')
  t.end()
})

t.test('single addresses of one family', t => {
  t.equal(parseSingleAddress('10.0.0.1', 4), '10.0.0.1')
  t.equal(parseSingleAddress('10.0.0.1/32', 4), '10.0.0.1')
  t.equal(parseSingleAddress('fd00::0:1/128', 6), 'fd00::1')
  for (const text of ['10.0.0.1/31', '10.0.0.1/128', 'fd00::1', '/32', ''])
    t.equal(parseSingleAddress(text, 4), null)
  for (const text of ['10.0.0.1', '10.0.0.1/128', 'fd00::1/32']) t.equal(parseSingleAddress(text, 6), null)
  t.end()
})

t.test('subtraction keeps address order', t => {
  const minus = (whole: string, part: string) => subtractCidr(cidr(whole), cidr(part)).map(formatCidr)
  t.same(minus('10.0.0.0/8', '10.64.0.0/10'), ['10.0.0.0/10', '10.128.0.0/9'])
  t.same(minus('0.0.0.0/0', '255.255.255.255/32').length, 32)
  t.same(minus('fd00::/126', 'fd00::2'), ['fd00::/127', 'fd00::3/128'])
  t.same(minus('10.0.0.0/8', '0.0.0.0/0'), [])
  t.same(minus('10.0.0.0/8', '11.0.0.0/8'), ['10.0.0.0/8'])
  t.same(minus('10.0.0.0/8', '::/0'), ['10.0.0.0/8'])
  t.end()
})

const ipv4 = fc.ipV4()
const ipv6 = fc.ipV6()
/** Near misses: valid addresses with characters dropped, doubled or replaced. */
const nearly = fc
  .tuple(fc.oneof(ipv4, ipv6), fc.nat(), fc.constantFrom('', '.', ':', '0', 'f', '::', ' ', '%', '1'))
  .map(([text, at, piece]) => text.slice(0, at % text.length) + piece + text.slice((at % text.length) + 1))

t.test('agrees with node:net about what is an address', async () => {
  const holds = (text: string) => {
    const expected = text.includes('%') ? 0 : isIP(text)
    const found = parseAddress(text)
    const canonical = canonicalAddress(text)
    if ((found?.family ?? 0) !== expected) return false
    if (found === null) return canonical === null
    // The canonical text is the same address again, and its own canonical text.
    const again = parseAddress(canonical!)
    return again?.value === found.value && canonicalAddress(canonical!) === canonical
  }
  fc.assert(fc.property(fc.oneof(ipv4, ipv6, nearly), holds), { numRuns: 3000 })
})

t.test('agrees with node:net about what is in a network', async () => {
  const pair = fc.oneof(
    fc.record({ family: fc.constant('ipv4' as const), net: ipv4, address: ipv4, length: fc.nat(32) }),
    fc.record({ family: fc.constant('ipv6' as const), net: ipv6, address: ipv6, length: fc.nat(128) }),
  )
  const holds = (
    { family, net, address, length }: typeof pair extends fc.Arbitrary<infer V> ? V : never,
    near: boolean,
  ) => {
    // Random addresses rarely meet: half of the time the address is made from the network's own bits.
    const base = parseAddress(net)!
    const other = parseAddress(address)!
    const bits = family === 'ipv4' ? 32 : 128
    const low = (1n << BigInt(bits - Math.max(0, length - 1))) - 1n
    const value = near ? (base.value & ~low) | (other.value & low) : other.value
    const list = new BlockList()
    list.addSubnet(canonicalAddress(net)!, length, family)
    const subject = { family: base.family, value }
    const network = cidr(`${net}/${length}`)
    // BlockList takes an IPv4-mapped address for its IPv4 address, and has no part in this then.
    const text = formatAddress(value, base.family)
    if (text.startsWith('::')) return true
    return (
      cidrContains(network, subject) === list.check(text, family) &&
      cidrOverlap(network, { ...subject, base: value, length: bits }) === cidrContains(network, subject)
    )
  }
  fc.assert(fc.property(pair, fc.boolean(), holds), { numRuns: 1500 })
  t.notOk(cidrContains(cidr('0.0.0.0/0'), parseAddress('::1')!))
  t.ok(cidrOverlap(cidr('10.0.0.0/8'), cidr('10.1.0.0/16')))
  t.notOk(cidrOverlap(cidr('0.0.0.0/0'), cidr('::/0')))
})

t.test('subtraction loses and gains no address', async () => {
  const network = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 22, max: 32 }))
  const toCidr = ([low, length]: [number, number]) => cidr(`10.0.${low % 4}.${low}/${length}`)
  const holds = (a: [number, number], b: [number, number]) => {
    const [whole, part] = [toCidr(a), toCidr(b)]
    const rest = subtractCidr(whole, part)
    for (let low = 0; low < 1024; low += 1) {
      const address = { family: 4 as const, value: parseAddress('10.0.0.0')!.value + BigInt(low) }
      const expected = cidrContains(whole, address) && !cidrContains(part, address) ? 1 : 0
      if (rest.filter(piece => cidrContains(piece, address)).length !== expected) return false
    }
    return rest.every((piece, at) => at === 0 || rest[at - 1]!.base < piece.base)
  }
  fc.assert(fc.property(network, network, holds), { numRuns: 60 })
})
