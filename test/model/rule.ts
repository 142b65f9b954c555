import t from 'tap'
import { formatCidr } from '../../src/model/cidr.ts'
import { formatPort, parsePort, parsePortText, portToJson } from '../../src/model/port.ts'
import { parseProtocol, protocolHasPorts, protocolName } from '../../src/model/protocol.ts'
import { Refusal } from '../../src/model/refusal.ts'
import { decodeRule } from '../../src/model/rule.ts'
import { decodeRuleSet } from '../../src/model/rule-set.ts'
import type { RuleMatch } from '../../src/model/values.ts'

const at = 'inbound_rules[2]'

function refusal(rule: unknown): { reason: string; remedy: string } {
  try {
    decodeRule(rule, at)
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  throw new Error(`accepted: ${JSON.stringify(rule)}`)
}

/** A match with its objects as text, to compare with. */
function plain(match: RuleMatch): object {
  const text: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(match)) {
    if (name.endsWith('Net')) text[name] = formatCidr(value)
    else if (name.endsWith('Selector')) text[name] = value.text
    else if (name.endsWith('Ports')) text[name] = value.map(formatPort)
    else text[name] = value
  }
  return text
}

t.test('every field and its negation', t => {
  const positive = {
    protocol: 'tcp',
    src_tag: 'a',
    dst_tag: 'b.c-d_e',
    src_selector: "role=='db'",
    dst_selector: '',
    src_net: '10.1.2.3/8',
    dst_net: '10.0.0.1',
    src_ports: [1, '2:3'],
    dst_ports: [0, 65535],
  }
  const rule = { ...positive, action: 'deny', ip_version: 4, log_prefix: 'a b/c' } as Record<string, unknown>
  for (const [name, value] of Object.entries(positive)) rule[`!${name}`] = value
  const decoded = decodeRule(rule, at)
  const expected = {
    protocol: 6,
    srcTag: 'a',
    dstTag: 'b.c-d_e',
    srcSelector: "role == 'db'",
    dstSelector: 'all()',
    srcNet: '10.0.0.0/8',
    dstNet: '10.0.0.1/32',
    srcPorts: ['1', '2:3'],
    dstPorts: ['0', '65535'],
  }
  t.strictSame(plain(decoded.is), expected)
  t.strictSame(plain(decoded.not), expected)
  t.match(decoded, { action: 'deny', ipVersion: 4, logPrefix: 'a_b_c' })
  t.strictSame(
    decodeRule({ protocol: 'icmp', icmp_type: 8, icmp_code: 255, '!icmp_type': 0, '!icmp_code': 1 }, at),
    {
      action: 'allow',
      is: { protocol: 1, icmpType: 8, icmpCode: 255 },
      not: { icmpType: 0, icmpCode: 1 },
    },
  )
  t.end()
})

t.test('what a rule may leave out', t => {
  t.strictSame(decodeRule({}, at), { action: 'allow', is: {}, not: {} })
  t.strictSame(
    decodeRule({ action: 'next-tier', src_tag: null, no_such_field: null, '!dst_net': null }, at),
    {
      action: 'next-tier',
      is: {},
      not: {},
    },
  )
  t.strictSame(decodeRuleSet({ id: 'web', inbound_rules: null }), { inbound: [], outbound: [] })
  t.strictSame(decodeRuleSet({ outbound_rules: [{ action: 'log' }] }), {
    inbound: [],
    outbound: [{ action: 'log', is: {}, not: {} }],
  })
  t.end()
})

t.test('log prefixes', t => {
  t.equal(decodeRule({ log_prefix: 'é😀"\n: -_' }, at).logPrefix, '____:_-_')
  t.equal(decodeRule({ log_prefix: 'x'.repeat(99) }, at).logPrefix, 'x'.repeat(27))
  t.match(refusal({ log_prefix: 5 }).reason, 'inbound_rules[2].log_prefix: a log prefix is a text, not 5')
  t.end()
})

t.test('refusals name the place and the remedy', t => {
  const rows: [rule: unknown, reason: string | RegExp][] = [
    ['allow', 'inbound_rules[2]: this must be an object, not "allow"'],
    [[], 'inbound_rules[2]: this must be an object, not a list'],
    [null, 'inbound_rules[2]: this must be an object, not null'],
    [{ actoin: 'deny' }, 'inbound_rules[2]: "actoin" is not a field of a rule'],
    [{ 'src_tag ': 'a' }, /not a field/],
    [{ '!action': 'deny' }, /not a field/],
    [{ '!!src_tag': 'a' }, /not a field/],
    [JSON.parse('{"__proto__": {}}'), /"__proto__" is not a field/],
    [{ constructor: 1 }, /"constructor" is not a field/],
    [{ action: 'Allow' }, 'inbound_rules[2].action: "Allow" is not an action'],
    [{ action: 'constructor' }, /not an action/],
    [{ ip_version: '4' }, 'inbound_rules[2].ip_version: "4" is not an IP version'],
    [{ ip_version: 5 }, /5 is not an IP version/],
    [{ protocol: 'TCP' }, 'inbound_rules[2].protocol: "TCP" is not a protocol'],
    [{ protocol: 0 }, /0 is not a protocol/],
    [{ protocol: true }, /true is not a protocol/],
    [{ '!protocol': 'any' }, 'inbound_rules[2].!protocol: "any" is not a protocol'],
    [{ src_tag: 'a b' }, 'inbound_rules[2].src_tag: "a b" is not a tag'],
    [{ src_tag: '' }, /not a tag/],
    [{ src_tag: ['a'] }, /a list is not a tag/],
    [{ src_selector: 'a = b' }, 'inbound_rules[2].src_selector: column 3: a single `=`'],
    [{ '!dst_selector': 5 }, 'inbound_rules[2].!dst_selector: a selector is a text, not 5'],
    [{ src_net: '10.0.0.0/33' }, 'inbound_rules[2].src_net: "10.0.0.0/33" is not a network'],
    [{ src_net: {} }, /an object is not a network/],
    [{ protocol: 'tcp', src_ports: ['80'] }, 'inbound_rules[2].src_ports[0]: "80" is not a port'],
    [{ protocol: 'tcp', src_ports: [1, 65536] }, 'inbound_rules[2].src_ports[1]: 65536 is not a port'],
    [{ protocol: 'tcp', dst_ports: ['3:2'] }, /dst_ports\[0\]/],
    [{ protocol: 'tcp', dst_ports: [] }, 'inbound_rules[2].dst_ports: ports are a list that is not empty'],
    [{ protocol: 'tcp', dst_ports: 80 }, /dst_ports: ports are a list/],
    [{ dst_ports: [80] }, 'inbound_rules[2].dst_ports: ports need a protocol that has ports'],
    [{ '!protocol': 'tcp', dst_ports: [80] }, /ports need a protocol/],
    [
      { protocol: 'icmp', '!src_ports': [80] },
      'inbound_rules[2].!src_ports: ports need a protocol that has ports',
    ],
    [{ protocol: 47, dst_ports: [80] }, /ports need a protocol/],
    [{ icmp_type: 8 }, 'inbound_rules[2].icmp_type: an ICMP type needs the protocol icmp or icmpv6'],
    [{ protocol: 'tcp', '!icmp_type': 8 }, /!icmp_type: an ICMP type needs/],
    [
      { protocol: 'icmp', icmp_type: 255 },
      'inbound_rules[2].icmp_type: type 255 means any type to the kernel',
    ],
    [{ protocol: 'icmp', '!icmp_type': 255 }, /!icmp_type: type 255 means any/],
    [{ protocol: 'icmp', icmp_type: 256 }, /256 is out of range/],
    [{ protocol: 'icmp', icmp_type: '8' }, /"8" is out of range/],
    [{ protocol: 'icmp', icmp_type: 8, icmp_code: 256 }, /icmp_code: 256 is out of range/],
    [{ protocol: 'icmp', icmp_code: 0 }, 'inbound_rules[2].icmp_code: a code needs icmp_type'],
    [{ protocol: 'icmp', icmp_type: 8, '!icmp_code': 0 }, /!icmp_code: a code needs !icmp_type/],
    [
      { ip_version: 6, src_net: '10.0.0.0/8' },
      'inbound_rules[2].src_net: 10.0.0.0/8 is of another family than the rest of the rule',
    ],
    [{ src_net: '10.0.0.0/8', dst_net: '::1' }, /dst_net: ::1\/128 is of another family/],
    [{ src_net: '10.0.0.0/8', '!dst_net': '::1' }, /!dst_net: ::1\/128 is of another/],
    [{ '!src_net': '::1', '!dst_net': '10.0.0.1' }, /!dst_net/],
    [{ protocol: 'icmp', src_net: 'fd00::/8' }, /src_net: fd00::\/8 is of another/],
    [{ protocol: 58, dst_net: '10.0.0.0/8' }, /dst_net: 10\.0\.0\.0\/8 is of another/],
    [{ protocol: 'icmp', ip_version: 6 }, 'inbound_rules[2].ip_version: icmp is of IPv4 only'],
    [{ protocol: 'icmpv6', ip_version: 4 }, /icmpv6 is of IPv6 only/],
  ]
  for (const [rule, reason] of rows) {
    const found = refusal(rule)
    if (typeof reason === 'string') t.equal(found.reason, reason)
    else t.match(found.reason, reason)
    t.match(found.reason, /^inbound_rules\[2\]/)
    t.match(found.remedy, /^[A-Z].*\.$/)
  }
  t.throws(() => decodeRuleSet({ inbound_rules: {} }), /^inbound_rules: this must be a list, not an object$/)
  t.throws(
    () => decodeRuleSet({ outbound_rules: [{}, { x: 1 }] }),
    /^outbound_rules\[1\]: "x" is not a field of a rule$/,
  )
  t.end()
})

t.test('families that agree', t => {
  t.equal(
    decodeRule({ ip_version: 6, src_net: 'fd00::/8', '!dst_net': '::1', protocol: 'icmpv6' }, at).ipVersion,
    6,
  )
  t.ok(decodeRule({ '!protocol': 'icmp', src_net: 'fd00::/8' }, at))
  t.ok(decodeRule({ '!protocol': 'icmpv6', ip_version: 4 }, at))
  t.end()
})

t.test('protocols', t => {
  const names = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58, sctp: 132, udplite: 136, dccp: 33 }
  for (const [name, number] of Object.entries(names)) {
    t.equal(parseProtocol(name), number)
    t.equal(parseProtocol(number), number)
    t.equal(parseProtocol(String(number)), number)
    t.equal(protocolName(number), name)
    t.equal(protocolHasPorts(number), !name.startsWith('icmp'))
  }
  t.equal(protocolName(47), '47')
  t.equal(parseProtocol(255), 255)
  t.equal(parseProtocol('255'), 255)
  for (const value of [0, 256, -1, 1.5, Number.NaN, '0', '06', '256', '+6', ' 6', '', 'Tcp', null, {}, [6]])
    t.equal(parseProtocol(value), null)
  t.notOk(protocolHasPorts(47))
  t.end()
})

t.test('ports', t => {
  t.strictSame(parsePort(80), { first: 80, last: 80 })
  t.strictSame(parsePort('0:65535'), { first: 0, last: 65535 })
  for (const value of [
    '80',
    '',
    ':',
    '1:',
    ':1',
    '2:1',
    '1:1',
    '01:2',
    '1:65536',
    '1:2:3',
    '1-2',
    ' 1:2',
    -1,
    1.5,
    65536,
    null,
    {},
  ])
    t.equal(parsePort(value), null, JSON.stringify(value))
  t.strictSame(parsePortText('80'), { first: 80, last: 80 })
  t.strictSame(parsePortText('1:2'), { first: 1, last: 2 })
  for (const text of ['080', '00', '65536', '', '-1', '1e3', '99999999999'])
    t.equal(parsePortText(text), null, text)
  t.equal(formatPort({ first: 80, last: 80 }), '80')
  t.equal(formatPort({ first: 8000, last: 8010 }), '8000:8010')
  t.equal(portToJson({ first: 80, last: 80 }), 80)
  t.equal(portToJson({ first: 8000, last: 8010 }), '8000:8010')
  t.end()
})
