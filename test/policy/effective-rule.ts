import t from 'tap'
import { formatCidr, parseCidr } from '../../src/model/cidr.ts'
import { formatPort } from '../../src/model/port.ts'
import { decodeRule } from '../../src/model/rule.ts'
import type { PortRange, Rule } from '../../src/model/values.ts'
import { effectiveRules, setsOf, underDoubt } from '../../src/policy/effective-rule.ts'
import type { EffectiveMatch, EffectiveRule } from '../../src/policy/outcome.ts'
import { subtractPorts } from '../../src/policy/port-difference.ts'

function matchText(match: EffectiveMatch, sign: string): string[] {
  return Object.entries(match).map(([name, value]) => {
    if (name.endsWith('Net')) return `${sign}${name}=${formatCidr(value)}`
    if (name.endsWith('Ports')) return `${sign}${name}=${(value as PortRange[]).map(formatPort).join(',')}`
    return `${sign}${name}=${value}`
  })
}

function text({ action, families, is, not }: EffectiveRule): string {
  return [action, `v${families.join('')}`, ...matchText(is, ''), ...matchText(not, '!')].join(' ')
}

function resolved(rule: object): string[] {
  return effectiveRules(decodeRule(rule, 'rule'), 0).map(text)
}

t.test('a rule as JSON, and the rules that netfilter gets', async t => {
  const cases: [rule: object, expected: string[]][] = [
    [{}, ['allow v46']],
    [{ action: 'deny', ip_version: 6 }, ['deny v6']],
    [{ protocol: 'icmp', icmp_type: 8, icmp_code: 0 }, ['allow v4 protocol=1 icmpType=8 icmpCode=0']],
    [{ protocol: 'icmpv6' }, ['allow v6 protocol=58']],
    [{ '!protocol': 'icmp' }, ['allow v46 !protocol=1']],
    [{ src_net: '10.0.0.0/8' }, ['allow v4 srcNet=10.0.0.0/8']],
    [{ '!src_net': '10.0.0.0/8' }, ['allow v4 !srcNet=10.0.0.0/8']],
    [{ action: 'deny', '!dst_net': 'fd00::/8' }, ['deny v6 !dstNet=fd00::/8']],
    [{ '!src_net': '0.0.0.0/0' }, []],
    [{ src_net: '0.0.0.0/0' }, ['allow v4 srcNet=0.0.0.0/0']],
    [{ protocol: 'tcp', '!protocol': 'tcp' }, []],
    [{ protocol: 'tcp', '!protocol': 'udp' }, ['allow v46 protocol=6']],
    [
      { src_net: '10.0.0.0/30', '!src_net': '10.0.0.1' },
      ['allow v4 srcNet=10.0.0.0/32', 'allow v4 srcNet=10.0.0.2/31'],
    ],
    [{ src_net: '10.0.0.1', '!src_net': '10.0.0.0/8' }, []],
    [{ src_net: '10.0.0.0/8', '!src_net': '11.0.0.0/8' }, ['allow v4 srcNet=10.0.0.0/8']],
    [
      { src_net: '10.0.0.0/31', '!src_net': '10.0.0.0', dst_net: '10.0.0.4/31', '!dst_net': '10.0.0.5' },
      ['allow v4 srcNet=10.0.0.1/32 dstNet=10.0.0.4/32'],
    ],
    [
      { protocol: 'tcp', dst_ports: ['80:90', 443], '!dst_ports': [85, 443] },
      ['allow v46 protocol=6 dstPorts=80:84,86:90'],
    ],
    [{ protocol: 'tcp', src_ports: [80], '!src_ports': ['1:100'] }, []],
    [{ protocol: 'udp', '!src_ports': ['0:65535'] }, []],
    [{ protocol: 'udp', '!dst_ports': [53] }, ['allow v46 protocol=17 !dstPorts=53']],
    [{ protocol: 'icmp', '!icmp_type': 8 }, ['allow v4 protocol=1 !icmpType=8']],
    [{ protocol: 'icmp', icmp_type: 8, '!icmp_type': 8 }, []],
    [{ protocol: 'icmp', icmp_type: 8, '!icmp_type': 0 }, ['allow v4 protocol=1 icmpType=8']],
    [
      { protocol: 'icmp', icmp_type: 3, '!icmp_type': 3, '!icmp_code': 4 },
      ['allow v4 protocol=1 icmpType=3 !icmpType=3,icmpCode=4'],
    ],
    [
      { protocol: 'icmp', icmp_type: 3, icmp_code: 1, '!icmp_type': 3, '!icmp_code': 4 },
      ['allow v4 protocol=1 icmpType=3 icmpCode=1'],
    ],
    [{ protocol: 'icmp', icmp_type: 3, icmp_code: 4, '!icmp_type': 3, '!icmp_code': 4 }, []],
    [
      { src_tag: 't', src_selector: "a == 'x'", '!dst_tag': 'u' },
      ["allow v46 srcSets=tag:t,selector:a == 'x' !dstSets=tag:u"],
    ],
    [{ action: 'deny', src_selector: 'has( a )', '!src_selector': 'has(a)' }, []],
    [{ src_tag: 't', '!src_tag': 'u' }, ['allow v46 srcSets=tag:t !srcSets=tag:u']],
  ]
  for (const [rule, expected] of cases)
    t.same(
      resolved(rule).map(line => line.replace('!icmpType=3 !icmpCode=4', '!icmpType=3,icmpCode=4')),
      expected,
      JSON.stringify(rule),
    )
})

t.test('what the model would refuse, and netfilter cannot say, denies more or allows less', async t => {
  const cidr = (words: string) => parseCidr(words)!
  const port: readonly PortRange[] = [{ first: 80, last: 80 }]
  const cases: [words: string, rule: Pick<Rule, 'is' | 'not'>, allow: string[], deny: string[]][] = [
    ['ports of no protocol', { is: { dstPorts: port }, not: {} }, [], ['v46']],
    ['no ports at all', { is: { protocol: 6, dstPorts: [] }, not: {} }, [], ['v46 protocol=6']],
    ['ports of GRE', { is: { protocol: 47, srcPorts: port }, not: {} }, [], []],
    ['not ports of GRE', { is: { protocol: 47 }, not: { srcPorts: port } }, [], ['v46 protocol=47']],
    ['type 255', { is: { protocol: 1, icmpType: 255 }, not: {} }, [], ['v4 protocol=1']],
    ['not type 255', { is: { protocol: 1 }, not: { icmpType: 255 } }, [], ['v4 protocol=1']],
    ['type of TCP', { is: { protocol: 6, icmpType: 8 }, not: {} }, [], []],
    [
      'not type of TCP',
      { is: { protocol: 6 }, not: { icmpType: 8 } },
      ['v46 protocol=6'],
      ['v46 protocol=6'],
    ],
    ['not a type of no protocol', { is: {}, not: { icmpType: 8 } }, [], ['v46']],
    ['code without type', { is: { protocol: 1, icmpCode: 1 }, not: {} }, [], ['v4 protocol=1']],
    ['not a code without type', { is: { protocol: 1 }, not: { icmpCode: 1 } }, [], ['v4 protocol=1']],
    [
      'not a code of the type asked for',
      { is: { protocol: 1, icmpType: 3 }, not: { icmpCode: 4 } },
      ['v4 protocol=1 icmpType=3 !icmpType=3 !icmpCode=4'],
      ['v4 protocol=1 icmpType=3 !icmpType=3 !icmpCode=4'],
    ],
    [
      'a type without protocol is of either ICMP',
      { is: { icmpType: 1 }, not: {} },
      ['v4 protocol=1 icmpType=1', 'v6 protocol=58 icmpType=1'],
      ['v4 protocol=1 icmpType=1', 'v6 protocol=58 icmpType=1'],
    ],
    ['both families', { is: { srcNet: cidr('10.0.0.1'), dstNet: cidr('fd00::1') }, not: {} }, [], []],
    [
      'neither network, each of a family',
      { is: {}, not: { srcNet: cidr('10.0.0.1'), dstNet: cidr('fd00::1') } },
      [],
      ['v4 !srcNet=10.0.0.1/32', 'v6 !dstNet=fd00::1/128'],
    ],
    [
      'not a network of the other family',
      { is: { srcNet: cidr('10.0.0.1') }, not: { srcNet: cidr('fd00::1'), dstNet: cidr('fd00::1') } },
      ['v4 srcNet=10.0.0.1/32'],
      ['v4 srcNet=10.0.0.1/32'],
    ],
    [
      'differences on both sides with too many pieces',
      {
        is: { srcNet: cidr('::/0'), dstNet: cidr('::/0') },
        not: { srcNet: cidr('fd00::/16'), dstNet: cidr('fd00::1') },
      },
      [],
      effectiveRules(
        { action: 'deny', is: { srcNet: cidr('::/0') }, not: { srcNet: cidr('fd00::/16') } },
        0,
      ).map(rule => text({ ...rule, is: { ...rule.is, dstNet: cidr('::/0') } }).slice('deny '.length)),
    ],
  ]
  for (const [words, rule, allow, deny] of cases) {
    t.same(
      effectiveRules({ action: 'allow', ...rule }, 0).map(text),
      allow.map(line => `allow ${line}`),
      `allow: ${words}`,
    )
    t.same(
      effectiveRules({ action: 'deny', ...rule }, 0).map(text),
      deny.map(line => `deny ${line}`),
      `deny: ${words}`,
    )
  }
  t.equal(cases.at(-1)![3].length, 16, 'a /16 is cut out in 16 pieces')
})

t.test('log prefix and place go along', async t => {
  const rule = decodeRule({ action: 'log', log_prefix: 'seen' }, 'rule')
  t.strictSame(effectiveRules(rule, 3), [
    { action: 'log', families: [4, 6], is: {}, not: {}, logPrefix: 'seen', index: 3 },
  ])
})

t.test('the sets that rules use come with their selector, and only while a rule uses them', async t => {
  const rules = [
    { src_tag: 't', '!dst_selector': 'has(a)' },
    { src_net: '10.0.0.1', '!src_net': '10.0.0.0/8', src_tag: 'never' },
    {},
  ].map(rule => decodeRule(rule, 'rule'))
  const sets = setsOf(rules.flatMap(effectiveRules), rules)
  t.strictSame([...sets.keys()], ['tag:t', 'selector:has(a)'])
  t.equal(sets.get('tag:t'), null)
  t.equal(sets.get('selector:has(a)'), rules[0]!.not.dstSelector)
})

t.test('a rule on sets that may lack members', async t => {
  const cases: [rule: object, incomplete: string[], expected: string[]][] = [
    [{ src_tag: 't' }, ['tag:t'], ['allow v46 srcSets=tag:t']],
    [{ '!src_tag': 't' }, ['tag:t'], []],
    [{ '!src_tag': 't' }, ['tag:u'], ['allow v46 !srcSets=tag:t']],
    [
      { action: 'next-tier', dst_tag: 't', protocol: 'tcp' },
      ['tag:t'],
      ['next-tier v46 protocol=6 dstSets=tag:t', 'deny v46 protocol=6'],
    ],
    [
      { action: 'next-tier', src_tag: 't', '!dst_tag': 'u', '!src_tag': 'v' },
      ['tag:t', 'tag:u'],
      ['deny v46 !srcSets=tag:v !dstSets=tag:u'],
    ],
    [{ action: 'log', '!dst_tag': 't' }, ['tag:t'], ['log v46 !dstSets=tag:t']],
    [{ action: 'deny', src_tag: 't', protocol: 'tcp' }, ['tag:t'], ['deny v46 protocol=6']],
    [{ action: 'deny', '!dst_tag': 't' }, ['tag:t'], ['deny v46']],
    [{ action: 'deny', src_tag: 't', '!dst_tag': 'u' }, ['tag:u'], ['deny v46 srcSets=tag:t']],
    [
      { action: 'deny', dst_tag: 't', dst_selector: 'has(a)' },
      ['tag:t'],
      ['deny v46 dstSets=selector:has(a)'],
    ],
    [{ action: 'deny', src_tag: 't' }, [], ['deny v46 srcSets=tag:t']],
  ]
  for (const [rule, incomplete, expected] of cases) {
    const result = effectiveRules(decodeRule(rule, 'rule'), 0).flatMap(each =>
      underDoubt(each, id => incomplete.includes(id)),
    )
    t.same(result.map(text), expected, `${JSON.stringify(rule)} lacking ${incomplete}`)
  }
})

t.test('ports less ports', async t => {
  const range = (words: string) => {
    const [first, last] = words.split('-').map(Number)
    return { first: first!, last: last ?? first! }
  }
  for (const [ports, without, left] of [
    ['1-9', '5', '1-4 6-9'],
    ['1-9', '1-9', ''],
    ['1-9 20', '0-3 8-30', '4-7'],
    ['5', '6', '5'],
    ['1-9', '3 5', '1-2 4 6-9'],
  ] as const) {
    const list = (words: string) => words.split(' ').filter(Boolean).map(range)
    t.strictSame(subtractPorts(list(ports), list(without)), list(left), `${ports} less ${without}`)
  }
})
