import fc from 'fast-check'
import t from 'tap'
import { FakeKernel } from '../../src/kernel/fake/kernel.ts'
import { formatAddress } from '../../src/model/cidr.ts'
import type { Family } from '../../src/model/values.ts'
import type { EffectiveRule, Packet, SetId } from '../../src/policy/outcome.ts'
import { Probe } from '../../src/policy/probe.ts'
import { ruleMatches } from '../../src/policy/rule-verdict.ts'
import type { PolicyView } from '../../src/policy/view.ts'
import { ipsetText, restoreText } from '../../src/render/print.ts'
import { Renderer } from '../../src/render/renderer.ts'
import { listChain, type RuleListContext } from '../../src/render/rule-list.ts'
import { styleOf } from '../../src/render/style.ts'
import { randomRule } from './fixtures/random-rules.ts'
import { delta, effective, net, newSet, OPTIONS, ports, profileList } from './fixtures/worlds.ts'

const context: RuleListContext = {
  style: styleOf(OPTIONS),
  protocolNames: new Map([[47, 'gre']]),
  // What opens has the tag's name, what closes has it in capitals.
  setName: (id, family, role) => {
    const name = id.replace('tag:', '')
    return name === 'refused' ? null : `podf-${family}-${role === 'opens' ? name : name.toUpperCase()}`
  },
}
const LOGGING: RuleListContext = {
  ...context,
  style: styleOf({ ...OPTIONS, dropLog: { enabled: true, group: 2, perSecond: 100 } }),
}

function lines(rule: EffectiveRule, family: Family = 4, using = context): readonly string[] {
  return listChain(profileList('p', 'inbound', [rule]), 'podf-in-x', family, using).body
}

type Case = readonly [what: string, rule: EffectiveRule, v4: string | string[], v6?: string | string[]]

const TCP = { protocol: 6 }
const [V4, V6] = [{ families: [4] }, { families: [6] }] as const
const not = (match: EffectiveRule['not'], rest: Partial<EffectiveRule> = {}) => ({ ...rest, not: match })
const odd = (count: number) => ports(...Array.from({ length: count }, (_, index) => 2 * index + 1))
const list = (from: number, to: number) =>
  Array.from({ length: (to - from) / 2 + 1 }, (_, index) => from + 2 * index).join(',')

/** Each rule with its text in IPv4 and IPv6; one text stands for both, `[]` for a rule that matches nothing. */
const CASES: readonly Case[] = [
  ['everything', effective('allow'), '-g podf-allow'],
  ['deny', effective('deny'), '-j DROP'],
  ['next-tier', effective('next-tier'), '-g podf-next-tier'],
  [
    'log',
    effective('log', {}, { logPrefix: 'seen' }),
    '-m limit --limit 10/sec -j NFLOG --nflog-prefix "podf:L:seen"',
  ],
  [
    'log without a prefix',
    effective('log', {}, { index: 3 }),
    '-m limit --limit 10/sec -j NFLOG --nflog-prefix "podf:L:0:in/profile/p"',
  ],
  [
    'a prefix on an allow',
    effective('allow', TCP, { logPrefix: 'x' }),
    ['-p tcp -m limit --limit 10/sec -j NFLOG --nflog-prefix "podf:L:x"', '-p tcp -g podf-allow'],
  ],
  ['protocol by name', effective('allow', { protocol: 17 }), '-p udp -g podf-allow'],
  ['protocol as this host names it', effective('allow', { protocol: 47 }), '-p gre -g podf-allow'],
  ['protocol as number', effective('allow', { protocol: 253 }), '-p 253 -g podf-allow'],
  ['any other protocol', effective('deny', {}, not(TCP)), '! -p tcp -j DROP'],
  ['ICMP is IPv4 only', effective('allow', { protocol: 1 }), '-p icmp -g podf-allow', []],
  ['ICMPv6 is IPv6 only', effective('allow', { protocol: 58 }), [], '-p ipv6-icmp -g podf-allow'],
  ['an extension header is no protocol of IPv6', effective('deny', { protocol: 44 }), '-p 44 -j DROP', []],
  ['and so never excluded', effective('deny', {}, not({ protocol: 44 })), '! -p 44 -j DROP', '-j DROP'],
  ['one family', effective('allow', TCP, V6), [], '-p tcp -g podf-allow'],
  ['source net', effective('allow', { srcNet: net('10.0.0.0/8') }), '-s 10.0.0.0/8 -g podf-allow', []],
  ['source address', effective('deny', { srcNet: net('fd00::1') }), [], '-s fd00::1/128 -j DROP'],
  [
    'destination net before the protocol',
    effective('allow', { dstNet: net('10.1.0.0/16'), protocol: 6 }),
    '-d 10.1.0.0/16 -p tcp -g podf-allow',
    [],
  ],
  [
    'negated nets',
    effective('allow', {}, not({ srcNet: net('10.0.0.0/8'), dstNet: net('10.1.0.0/16') })),
    '! -s 10.0.0.0/8 ! -d 10.1.0.0/16 -g podf-allow',
    [],
  ],
  ['all addresses of a family', effective('allow', { srcNet: net('0.0.0.0/0') }), '-g podf-allow', []],
  ['no address of a family', effective('deny', {}, not({ srcNet: net('::/0') })), [], []],
  [
    'a net and its opposite',
    effective('allow', { srcNet: net('10.0.0.0/8') }, not({ srcNet: net('10.0.0.0/7') })),
    [],
    [],
  ],
  [
    'a net and a distant one',
    effective('allow', { srcNet: net('10.0.0.0/8') }, not({ srcNet: net('11.0.0.0/8') })),
    '-s 10.0.0.0/8 -g podf-allow',
    [],
  ],
  [
    'part of a net cannot be said: an allow allows less',
    effective('allow', { srcNet: net('10.0.0.0/8') }, not({ srcNet: net('10.1.0.0/16') })),
    [],
    [],
  ],
  [
    'part of a net cannot be said: a deny denies more',
    effective('deny', { srcNet: net('10.0.0.0/8') }, not({ srcNet: net('10.1.0.0/16') })),
    '-s 10.0.0.0/8 -j DROP',
    [],
  ],
  [
    'all but a net',
    effective('allow', { srcNet: net('0.0.0.0/0') }, not({ srcNet: net('10.0.0.0/8') })),
    '! -s 10.0.0.0/8 -g podf-allow',
    [],
  ],
  ['a port', effective('allow', { ...TCP, dstPorts: ports(80) }), '-p tcp -m tcp --dport 80 -g podf-allow'],
  [
    'a range',
    effective('allow', { protocol: 17, srcPorts: ports('8000:8010') }),
    '-p udp -m udp --sport 8000:8010 -g podf-allow',
  ],
  [
    'both ports',
    effective('allow', { ...TCP, srcPorts: ports(1), dstPorts: ports(2) }),
    '-p tcp -m tcp --sport 1 --dport 2 -g podf-allow',
  ],
  [
    'several ports',
    effective('allow', { ...TCP, dstPorts: ports(443, 80) }),
    '-p tcp -m multiport --dports 80,443 -g podf-allow',
  ],
  [
    'one and several',
    effective('allow', { ...TCP, srcPorts: ports(80, 443), dstPorts: ports(1) }),
    '-p tcp -m tcp --dport 1 -m multiport --sports 80,443 -g podf-allow',
  ],
  [
    'overlapping ports',
    effective('allow', { ...TCP, dstPorts: ports('80:90', 85, '91:95', 85) }),
    '-p tcp -m tcp --dport 80:95 -g podf-allow',
  ],
  [
    'a port of SCTP',
    effective('allow', { protocol: 132, dstPorts: ports(5000) }),
    '-p sctp -m multiport --dports 5000 -g podf-allow',
  ],
  [
    'every port',
    effective('allow', { ...TCP, dstPorts: ports('0:100', '101:65535') }),
    '-p tcp -g podf-allow',
  ],
  ['no port at all', effective('deny', { ...TCP, dstPorts: [] }), []],
  [
    'a negated port',
    effective('allow', TCP, not({ dstPorts: ports(80) })),
    '-p tcp -m tcp ! --dport 80 -g podf-allow',
  ],
  [
    'negated ports',
    effective('allow', TCP, not({ dstPorts: ports(80, 443), srcPorts: ports(22) })),
    '-p tcp -m tcp ! --sport 22 -m multiport ! --dports 80,443 -g podf-allow',
  ],
  ['not every port matches nothing', effective('allow', TCP, not({ dstPorts: ports('0:65535') })), []],
  [
    'not the lowest ports',
    effective('allow', TCP, not({ dstPorts: ports('0:1023') })),
    '-p tcp -m tcp --dport 1024:65535 -g podf-allow',
  ],
  [
    'not the highest ports',
    effective('allow', TCP, not({ dstPorts: ports('1024:65535') })),
    '-p tcp -m tcp --dport 0:1023 -g podf-allow',
  ],
  [
    'a range but one',
    effective('allow', { ...TCP, dstPorts: ports('1:9') }, not({ dstPorts: ports(5) })),
    '-p tcp -m multiport --dports 1:4,6:9 -g podf-allow',
  ],
  ['a port but that one', effective('deny', { ...TCP, dstPorts: ports(5) }, not({ dstPorts: ports(5) })), []],
  [
    'sixteen ports are two rules',
    effective('allow', { ...TCP, dstPorts: odd(16) }),
    [`-p tcp -m multiport --dports ${list(1, 29)} -g podf-allow`, '-p tcp -m tcp --dport 31 -g podf-allow'],
  ],
  [
    'a range takes two slots',
    effective('allow', { ...TCP, dstPorts: [...odd(14), ...ports('100:200')] }),
    [
      `-p tcp -m multiport --dports ${list(1, 27)} -g podf-allow`,
      '-p tcp -m tcp --dport 100:200 -g podf-allow',
    ],
  ],
  [
    'sixteen negated ports are one rule',
    effective('allow', TCP, not({ dstPorts: odd(16) })),
    `-p tcp -m multiport ! --dports ${list(1, 29)} -m multiport ! --dports 31 -g podf-allow`,
  ],
  [
    'two lists multiply',
    effective('deny', { ...TCP, srcPorts: odd(16), dstPorts: odd(16) }),
    [
      `-p tcp -m multiport --sports ${list(1, 29)} -m multiport --dports ${list(1, 29)} -j DROP`,
      `-p tcp -m tcp --dport 31 -m multiport --sports ${list(1, 29)} -j DROP`,
      `-p tcp -m tcp --sport 31 -m multiport --dports ${list(1, 29)} -j DROP`,
      '-p tcp -m tcp --sport 31 --dport 31 -j DROP',
    ],
  ],
  [
    'lists that multiply without end: an allow allows nothing',
    effective('allow', { ...TCP, srcPorts: odd(900), dstPorts: odd(900) }),
    [],
  ],
  [
    'lists that multiply without end: a deny denies all ports',
    effective('deny', { ...TCP, srcPorts: odd(900), dstPorts: odd(900) }),
    '-p tcp -j DROP',
  ],
  [
    'ports without a protocol that has them: an allow',
    effective('allow', { protocol: 47, dstPorts: ports(1) }),
    [],
  ],
  ['ports without a protocol that has them: a deny', effective('deny', { dstPorts: ports(1) }), '-j DROP'],
  [
    'an ICMP type',
    effective('allow', { protocol: 1, icmpType: 8 }, V4),
    '-p icmp -m icmp --icmp-type 8 -g podf-allow',
    [],
  ],
  [
    'type and code',
    effective('allow', { protocol: 58, icmpType: 1, icmpCode: 4 }, V6),
    [],
    '-p ipv6-icmp -m icmp6 --icmpv6-type 1/4 -g podf-allow',
  ],
  [
    'a type without the protocol',
    effective('allow', { icmpType: 8 }, V4),
    '-p icmp -m icmp --icmp-type 8 -g podf-allow',
    [],
  ],
  [
    'a negated type and code',
    effective('allow', { protocol: 1 }, not({ icmpType: 8, icmpCode: 0 })),
    '-p icmp -m icmp ! --icmp-type 8/0 -g podf-allow',
    [],
  ],
  [
    'a type but one code of it',
    effective('allow', { protocol: 1, icmpType: 8 }, not({ icmpType: 8, icmpCode: 0 })),
    '-p icmp -m icmp --icmp-type 8 -m icmp ! --icmp-type 8/0 -g podf-allow',
    [],
  ],
  [
    'type 255 means any to the kernel: an allow allows nothing',
    effective('allow', { protocol: 1, icmpType: 255 }),
    [],
  ],
  [
    'type 255 means any to the kernel: a deny denies ICMP',
    effective('deny', { protocol: 1, icmpType: 255 }),
    '-p icmp -j DROP',
    [],
  ],
  ['a negated type of any protocol: an allow', effective('allow', {}, not({ icmpType: 8 })), []],
  ['a negated type of any protocol: a deny', effective('deny', {}, not({ icmpType: 8 })), '-j DROP'],
  ['a type of TCP', effective('allow', { ...TCP, icmpType: 8 }), []],
  ['a code without a type', effective('allow', { protocol: 1, icmpCode: 0 }), []],
  [
    'a negated code without a type',
    effective('deny', { protocol: 1 }, not({ icmpCode: 0 })),
    '-p icmp -j DROP',
    [],
  ],
  [
    'sets',
    effective('allow', { srcSets: ['tag:a', 'tag:b'], dstSets: ['tag:c'] }),
    '-m set --match-set podf-4-a src -m set --match-set podf-4-b src -m set --match-set podf-4-c dst -g podf-allow',
    '-m set --match-set podf-6-a src -m set --match-set podf-6-b src -m set --match-set podf-6-c dst -g podf-allow',
  ],
  [
    'ports before sets, positive sets before negated',
    effective('deny', { ...TCP, dstPorts: ports(80), dstSets: ['tag:b'] }, not({ srcSets: ['tag:a'] }, V4)),
    '-p tcp -m tcp --dport 80 -m set --match-set podf-4-B dst -m set ! --match-set podf-4-a src -j DROP',
    [],
  ],
  [
    'in an allow a negated set closes',
    effective('allow', { srcSets: ['tag:a'] }, not({ dstSets: ['tag:a'] }, V4)),
    '-m set --match-set podf-4-a src -m set ! --match-set podf-4-A dst -g podf-allow',
    [],
  ],
  [
    'a next-tier passes on what surely matches, and drops what only may',
    effective('next-tier', { ...TCP, srcSets: ['tag:a'] }, not({ dstSets: ['tag:b'] }, V4)),
    [
      '-p tcp -m set --match-set podf-4-a src -m set ! --match-set podf-4-B dst -g podf-next-tier',
      '-p tcp -m set --match-set podf-4-A src -m set ! --match-set podf-4-b dst -j DROP',
    ],
    [],
  ],
  ['a set that was refused: an allow', effective('allow', { srcSets: ['tag:refused'] }), []],
  [
    'a set that was refused, negated: an allow',
    effective('allow', TCP, not({ srcSets: ['tag:refused'] })),
    [],
  ],
  [
    'a set that was refused: a deny',
    effective('deny', { ...TCP, srcSets: ['tag:refused'] }),
    '-p tcp -j DROP',
  ],
  [
    'a set that was refused, negated: a deny',
    effective('deny', TCP, not({ dstSets: ['tag:refused'] })),
    '-p tcp -j DROP',
  ],
]

t.test('one rule, one line', async t => {
  for (const [what, rule, v4, v6 = v4] of CASES) {
    t.same(lines(rule, 4), [v4].flat(), what)
    t.same(lines(rule, 6), [v6].flat(), `${what}, IPv6`)
  }
})

t.test('the drop log tells of what a deny drops', async t => {
  t.same(lines(effective('deny', TCP), 4, LOGGING), [
    '-p tcp -m limit --limit 100/sec -j NFLOG --nflog-prefix "podf:D:deny:0:in/profile/p" --nflog-group 2',
    '-p tcp -j DROP',
  ])
})

t.test('closed lists drop, empty ones do nothing', async t => {
  const chain = (closed: string | null, using = context) =>
    listChain(
      profileList('p', 'outbound', closed === null ? [] : [effective('allow')], closed),
      'n',
      4,
      using,
    )
  t.same(chain(null).body, [])
  t.same(chain('unreadable').body, ['-j DROP'])
  t.same(chain('unreadable', LOGGING).body, [
    '-m limit --limit 100/sec -j NFLOG --nflog-prefix "podf:D:closed:out/profile/p" --nflog-group 2',
    '-j DROP',
  ])
  t.same(chain(null).title, 'out/profile/p')
  t.same(chain(null).owner, 'profile p outbound')
})

/** Packets that random rules are likely to meet. */
function randomPacket(family: Family): fc.Arbitrary<Packet> {
  const addresses =
    family === 4
      ? ['10.65.0.1', '10.9.9.9', '192.168.7.9', '200.1.1.1', '255.255.255.255']
      : ['fd00::1', 'fd00::2', '::1.2.3.4', '::ffff:1.2.3.4', '2001:db8:0:1::9', '2001:db9::1']
  const port = fc.oneof(fc.constantFrom(0, 1, 80, 443, 65534, 65535), fc.integer({ min: 0, max: 65535 }))
  const icmp = family === 4 ? 1 : 58
  return fc
    .record({
      source: fc.constantFrom(...addresses),
      destination: fc.constantFrom(...addresses),
      protocol: fc.constantFrom(6, 6, 17, 132, 136, 33, icmp, icmp, 47, 250),
      sourcePort: port,
      destinationPort: port,
      icmpType: fc.integer({ min: 0, max: 254 }),
      icmpCode: fc.integer({ min: 0, max: 255 }),
    })
    .map(({ source, destination, protocol, sourcePort, destinationPort, icmpType, icmpCode }) => ({
      family,
      path: 'forward' as const,
      source,
      destination,
      protocol,
      ...([6, 17, 132, 136, 33].includes(protocol) && { sourcePort, destinationPort }),
      ...(protocol === icmp && { icmpType, icmpCode }),
    }))
}

/** The packet as this rule would have it, as far as one field can say. */
function aimed(packet: Packet, { is }: EffectiveRule): Packet {
  // An authentication header is no protocol of an IPv6 packet; the one behind it is.
  const never = packet.family === 6 && is.protocol === 51
  const protocol = never ? packet.protocol : (is.protocol ?? packet.protocol)
  const { sourcePort, destinationPort, icmpType, icmpCode, ...rest } = packet
  const ported = [6, 17, 132, 136, 33].includes(protocol)
  const icmp = protocol === (packet.family === 4 ? 1 : 58)
  return {
    ...rest,
    protocol,
    ...(ported && {
      sourcePort: is.srcPorts?.at(-1)?.last ?? sourcePort ?? 7,
      destinationPort: is.dstPorts?.[0]?.first ?? destinationPort ?? 7,
    }),
    ...(icmp && { icmpType: is.icmpType ?? icmpType ?? 9, icmpCode: is.icmpCode ?? icmpCode ?? 9 }),
    ...(is.srcNet && { source: formatAddress(is.srcNet.base, packet.family) }),
    ...(is.dstNet && { destination: formatAddress(is.dstNet.base, packet.family) }),
  }
}

const SETS: Readonly<Record<SetId, readonly string[]>> = {
  'tag:a': ['10.65.0.1', 'fd00::1', '::1.2.3.4'],
  'tag:b': ['10.65.0.1', '10.9.9.9', 'fd00::1', 'fd00::2'],
  'tag:none': [],
}
const VIEW = { setMembers: (id: SetId) => new Set(SETS[id]) } as unknown as PolicyView

t.test('a rule in the kernel takes the packets that the policy engine says', async t => {
  let taken = 0
  const property = fc.property(
    randomRule(Object.keys(SETS)).chain(rule =>
      fc.tuple(fc.constant(rule), fc.array(randomPacket(rule.families[0]!), { minLength: 8, maxLength: 8 })),
    ),
    ([rule, random]) => {
      const packets = random.map((packet, index) => (index % 2 === 0 ? packet : aimed(packet, rule)))
      const { kernel, chain } = loaded(rule)
      for (const packet of packets) {
        const expected = ruleMatches(rule, new Probe(packet), VIEW)
        if (expected) taken++
        const seen = walked(kernel, packet, chain)
        if ((rule.action === 'log' ? expected : seen) !== expected)
          throw new Error(`${JSON.stringify(packet)} ${expected}\n${kernel.save(packet.family)}`)
      }
    },
  )
  fc.assert(property, { numRuns: 400, seed: 7 })
  t.ok(taken > 500, `${taken} packets were taken by their rule`)
})

/** A kernel that sends FORWARD through the chain of a list with this rule alone. */
function loaded(rule: EffectiveRule) {
  const { sets, chains } = new Renderer(OPTIONS).render(
    delta({
      lists: [profileList('p', 'inbound', [rule])],
      sets: Object.fromEntries(Object.entries(SETS).map(([id, members]) => [id, newSet(...members)])),
    }),
  )
  const kernel = new FakeKernel()
  for (const line of ipsetText(sets).trimEnd().split('\n'))
    if (kernel.ipset(line).exit !== 0) throw new Error(line)
  const family = rule.families[0]!
  const chain = chains.find(each => each.owner === 'profile p inbound')!.name
  const text = `${restoreText(chains, family)}*filter\n-A FORWARD -j ${chain}\nCOMMIT\n`
  const { exit, stderr } = kernel.restore(family, text)
  if (exit !== 0) throw new Error(`${stderr}\n${text}`)
  return { kernel, chain }
}

/** Whether a rule of the chain did something with the packet. */
function walked(kernel: FakeKernel, packet: Packet, chain: string): boolean {
  const { family, source, destination, protocol, sourcePort, destinationPort, icmpType, icmpCode } = packet
  const { trail } = kernel.walk({
    family,
    path: 'forward',
    in: 'eth0',
    out: 'eth1',
    src: source,
    dst: destination,
    protocol,
    ctstate: 'NEW',
    ...(sourcePort === undefined ? {} : { sport: sourcePort, dport: destinationPort! }),
    ...(icmpType === undefined ? {} : { icmpType, icmpCode: icmpCode! }),
  })
  return trail.some(step => step.chain === chain)
}
