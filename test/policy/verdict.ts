import t, { type Test } from 'tap'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { Packet } from '../../src/policy/outcome.ts'
import { type JudgeOptions, judge, permits } from '../../src/policy/verdict.ts'
import { endpoint, HERE, idOf, policy, rules, tags, tier } from './support/world.ts'

const engine = new PolicyEngine(HERE)
for (const change of [
  endpoint('web', {
    addresses: ['10.0.0.1', '10.0.0.11', 'fd00::1'],
    profiles: ['web'],
    labels: { role: 'web' },
  }),
  endpoint('db', { addresses: ['10.0.0.2', 'fd00::2'], profiles: ['db', 'more'] }),
  endpoint('off', { addresses: ['10.0.0.3', 'fd00::3'], profiles: ['web'], active: false }),
  endpoint('twin-a', { addresses: ['10.0.0.9'], profiles: ['web'] }),
  endpoint('twin-b', { addresses: ['10.0.0.9'], profiles: ['db'] }),
  tags('web', 'web'),
  rules('web', [{ protocol: 'tcp', dst_ports: [80] }], [{ action: 'deny', dst_net: '192.0.2.0/24' }, {}]),
  rules(
    'db',
    [{ action: 'log', protocol: 'tcp' }, { src_tag: 'web', protocol: 'tcp' }, { action: 'next-tier' }],
    [],
  ),
  rules('more', [{ protocol: 'udp' }], []),
  tier('front', 1),
  policy(
    'front/guard',
    "role == 'web'",
    [
      { action: 'deny', src_net: '203.0.113.0/24' },
      { action: 'next-tier', protocol: 'tcp' },
    ],
    [{ action: 'next-tier' }],
  ),
])
  engine.update(change)

const SETTINGS: JudgeOptions = { nodeToWorkload: 'allow', workloadToNode: 'allow' }
const STRICT: JudgeOptions = { nodeToWorkload: 'policy', workloadToNode: 'drop' }
const WEB = '10.0.0.1'
const DB = '10.0.0.2'
const OUTSIDE = '198.51.100.1'

function tcp(source: string, destination: string, port: number, more: Partial<Packet> = {}): Packet {
  const family = source.includes(':') ? 6 : 4
  const ports = { sourcePort: 40000, destinationPort: port }
  return { family, path: 'forward', source, destination, protocol: 6, ...ports, ...more }
}

function icmp6(source: string, destination: string, icmpType: number, more: Partial<Packet> = {}): Packet {
  return { family: 6, path: 'forward', source, destination, protocol: 58, icmpType, icmpCode: 0, ...more }
}

type Side = boolean | null
type Case = [
  name: string,
  packet: Packet,
  options: Partial<JudgeOptions>,
  by: string,
  egress: Side,
  ingress: Side,
]

function check(t: Test, cases: readonly Case[], base = SETTINGS): void {
  for (const [name, packet, options, by, egress, ingress] of cases) {
    const settings = { ...base, ...options }
    const allow = egress !== false && ingress !== false
    t.match(judge(engine, packet, settings), { allow, by, egress, ingress }, name)
    t.equal(permits(engine, packet, settings), allow, `${name}, in short`)
  }
}

t.test('forwarded packets', async t => {
  const dhcp = { protocol: 17, sourcePort: 68, destinationPort: 67 }
  check(t, [
    ['in by a profile', tcp(OUTSIDE, WEB, 80), {}, 'profile web inbound rule 1', null, true],
    ['past all profiles', tcp(OUTSIDE, WEB, 81), {}, 'end of profiles', null, false],
    ['denied by a policy', tcp('203.0.113.7', WEB, 80), {}, 'policy front/guard inbound rule 1', null, false],
    ['left by a tier', tcp(OUTSIDE, WEB, 80, { protocol: 17 }), {}, 'end of tier front', null, false],
    ['out by a profile', tcp(WEB, OUTSIDE, 80), {}, 'profile web outbound rule 2', true, null],
    ['not out by a profile', tcp(WEB, '192.0.2.9', 80), {}, 'profile web outbound rule 1', false, null],
    ['both sides', tcp(WEB, DB, 5432), {}, 'profile db inbound rule 2', true, true],
    ['the sender decides first', tcp(DB, WEB, 81), {}, 'end of profiles', false, false],
    ['the sender alone denies', tcp(DB, WEB, 80), {}, 'end of profiles', false, true],
    [
      'next-tier of a profile ends it',
      tcp(OUTSIDE, DB, 1, { protocol: 17 }),
      {},
      'profile more inbound rule 1',
      null,
      true,
    ],
    ['nobody of ours', tcp(OUTSIDE, '198.51.100.2', 80), {}, 'no workload', null, null],
    ['a closed receiver', tcp(WEB, '10.0.0.3', 80), {}, `endpoint ${idOf('off')}`, true, false],
    ['a closed sender', tcp('10.0.0.3', OUTSIDE, 80), {}, `endpoint ${idOf('off')}`, false, null],
    [
      'a closed sender to itself',
      tcp('10.0.0.3', '10.0.0.3', 80),
      {},
      `endpoint ${idOf('off')}`,
      false,
      false,
    ],
    ['hairpin', tcp(WEB, WEB, 99), {}, 'hairpin', true, true],
    ['hairpin between own addresses', tcp(WEB, '10.0.0.11', 99), {}, 'hairpin', true, true],
    [
      'no hairpin from outside',
      tcp(WEB, WEB, 99, { protocol: 17 }),
      { from: 'elsewhere' },
      'end of tier front',
      null,
      false,
    ],
    ['unknown source', tcp(OUTSIDE, WEB, 80), { from: 'workload' }, 'unknown source', false, null],
    ['unknown destination', tcp(WEB, OUTSIDE, 80), { to: 'workload' }, 'unknown destination', true, false],
    [
      'unknown destination from outside',
      tcp(OUTSIDE, '10.0.0.77', 80),
      { to: 'workload' },
      'unknown destination',
      null,
      false,
    ],
    ['out by another way', tcp(WEB, DB, 1), { to: 'elsewhere' }, 'profile web outbound rule 2', true, null],
    [
      'DHCP between workloads',
      tcp('0.0.0.0', '255.255.255.255', 67, dhcp),
      { from: 'workload' },
      'unknown source',
      false,
      null,
    ],
    ['IPv6 alike', tcp('fd00::1', 'fd00::2', 5432), {}, 'profile db inbound rule 2', true, true],
  ])
  t.match(
    judge(engine, tcp('FD00:0::1', 'fd00:0:0::2', 5432), SETTINGS),
    { allow: true, egress: true },
    'any text of an address',
  )
})

t.test('neighbour discovery, and what a workload may never send', async t => {
  const from = 'workload' as const
  const dhcp6 = { family: 6, protocol: 17, sourcePort: 546, destinationPort: 547 } as const
  check(t, [
    [
      'a neighbour asks',
      icmp6('fe80::1', 'ff02::1:ff00:2', 135),
      { from },
      'neighbour discovery',
      true,
      null,
    ],
    ['without an address', icmp6('::', 'ff02::1:ff00:2', 135), { from }, 'neighbour discovery', true, null],
    ['between workloads', icmp6('fd00::1', 'fd00::2', 136), {}, 'neighbour discovery', true, true],
    ['also to a closed one', icmp6('fd00::1', 'fd00::3', 135), {}, 'neighbour discovery', true, true],
    ['not from outside', icmp6('fe80::99', 'fd00::2', 135), {}, 'end of profiles', null, false],
    [
      'a router is not asked of a workload',
      icmp6('fd00::1', 'fd00::2', 133),
      {},
      'end of profiles',
      true,
      false,
    ],
    ['not from afar', icmp6('fd00::1', 'fd00::2', 136, { hopLimit: 64 }), {}, 'end of profiles', true, false],
    [
      'nor from afar by link',
      icmp6('fe80::1', 'fd00::2', 135, { hopLimit: 64 }),
      { from },
      'link-local source',
      false,
      null,
    ],
    ['no report to a workload', icmp6('fe80::1', 'ff02::16', 143), { from }, 'unknown source', false, null],
    [
      'reports to the node are not bound to the hop limit',
      icmp6('::', 'ff02::16', 143, { path: 'to-node', hopLimit: 1 }),
      { from },
      'neighbour discovery',
      true,
      null,
    ],
    ['a foreign address asks', icmp6('fd00::77', 'fd00::2', 135), { from }, 'unknown source', false, null],
    ['router advertisement', icmp6('fe80::1', 'ff02::1', 134), { from }, 'router message', false, null],
    ['redirect', icmp6('fd00::1', 'fd00::2', 137), {}, 'router message', false, null],
    [
      'a router may, where policy does',
      icmp6('fe80::99', 'fd00::2', 134),
      { from: 'elsewhere' },
      'end of profiles',
      null,
      false,
    ],
    ['other traffic by link', tcp('fe80::1', 'fd00::2', 80), { from }, 'link-local source', false, null],
    ['fec0:: is no link address', tcp('fec0::1', 'fd00::2', 80), { from }, 'unknown source', false, null],
    [
      'DHCPv6 to others',
      { ...tcp('fe80::1', 'ff02::1:2', 547), ...dhcp6 },
      { from },
      'unknown source',
      false,
      null,
    ],
  ])
})

t.test("a workload's packets to its own node", async t => {
  const toNode = { path: 'to-node' } as const
  const dhcp = { ...toNode, protocol: 17, sourcePort: 68 }
  const dhcp6 = { ...toNode, protocol: 17, sourcePort: 546 }
  const from = 'workload' as const
  const cases: Case[] = [
    ['its egress policy', tcp(WEB, '192.0.2.9', 80, toNode), {}, 'profile web outbound rule 1', false, null],
    ['as it allows', tcp(WEB, OUTSIDE, 80, toNode), {}, 'profile web outbound rule 2', true, null],
    ['DNS', tcp(DB, OUTSIDE, 53, toNode), {}, 'DNS to the node', true, null],
    ['DNS over UDP', tcp(DB, OUTSIDE, 53, { ...toNode, protocol: 17 }), {}, 'DNS to the node', true, null],
    ['not DNS', tcp(DB, OUTSIDE, 53, { ...toNode, protocol: 132 }), {}, 'end of profiles', false, null],
    ['DHCP', tcp('0.0.0.0', '255.255.255.255', 67, dhcp), { from }, 'DHCP to the node', true, null],
    ['DHCP renewal', tcp(DB, OUTSIDE, 67, dhcp), {}, 'DHCP to the node', true, null],
    ['DHCPv6', tcp('fe80::1', 'ff02::1:2', 547, dhcp6), { from }, 'DHCP to the node', true, null],
    ['listener queries', icmp6('fd00::1', 'fd00::99', 130, toNode), {}, 'neighbour discovery', true, null],
    ['unknown', tcp('10.0.0.77', OUTSIDE, 53, toNode), { from }, 'unknown source', false, null],
    ['closed', tcp('10.0.0.3', OUTSIDE, 80, toNode), {}, `endpoint ${idOf('off')}`, false, null],
    ['not a workload', tcp(OUTSIDE, '198.51.100.2', 22, toNode), {}, 'no workload', null, null],
    [
      'a borrowed address',
      tcp(DB, OUTSIDE, 53, { ...toNode, sourceEndpoint: idOf('web') }),
      {},
      'unknown source',
      false,
      null,
    ],
  ]
  check(t, cases)
  const strict: Case[] = [
    ['nothing', tcp(WEB, OUTSIDE, 80, toNode), {}, 'workload to node', false, null],
    ['no DNS', tcp(DB, OUTSIDE, 53, toNode), {}, 'workload to node', false, null],
    ['no DHCP', tcp('0.0.0.0', '255.255.255.255', 67, dhcp), { from }, 'workload to node', false, null],
    ['no DHCPv6', tcp('fe80::1', 'ff02::1:2', 547, dhcp6), { from }, 'link-local source', false, null],
    ['neighbours', icmp6('fe80::1', 'fd00::99', 135, toNode), { from }, 'neighbour discovery', true, null],
  ]
  check(t, strict, STRICT)
})

t.test("the node's own packets", async t => {
  const fromNode = { path: 'from-node' } as const
  check(t, [
    ['always', tcp('198.51.100.9', DB, 1, fromNode), {}, 'node to workload', null, true],
    ['to others', tcp('198.51.100.9', OUTSIDE, 1, fromNode), {}, 'node to workload', null, null],
  ])
  check(
    t,
    [
      ['by policy', tcp('198.51.100.9', DB, 1, fromNode), {}, 'end of profiles', null, false],
      ['as it allows', tcp('198.51.100.9', WEB, 80, fromNode), {}, 'profile web inbound rule 1', null, true],
      ['closed', tcp('198.51.100.9', '10.0.0.3', 80, fromNode), {}, `endpoint ${idOf('off')}`, null, false],
      ['to others', tcp('198.51.100.9', OUTSIDE, 1, fromNode), {}, 'no workload', null, null],
      ['neighbours', icmp6('fe80::9', 'fd00::2', 136, fromNode), {}, 'neighbour discovery', null, true],
    ],
    STRICT,
  )
})

t.test('several endpoints with one address', async t => {
  const [a, b] = [idOf('twin-a'), idOf('twin-b')]
  const into = (more: Partial<Packet>) => tcp(OUTSIDE, '10.0.0.9', 80, more)
  check(t, [
    ['the first', into({}), {}, 'profile web inbound rule 1', null, true],
    ['the one that is named', into({ destinationEndpoint: b }), {}, 'end of profiles', null, false],
    [
      'one that is none of them',
      into({ destinationEndpoint: idOf('db') }),
      {},
      'unknown destination',
      null,
      false,
    ],
    ['named sender', tcp('10.0.0.9', OUTSIDE, 80, { sourceEndpoint: b }), {}, 'end of profiles', false, null],
    [
      'to the other',
      tcp('10.0.0.9', '10.0.0.9', 80, { sourceEndpoint: b, destinationEndpoint: a }),
      {},
      'profile web inbound rule 1',
      true,
      true,
    ],
  ])
  const { trail } = judge(engine, into({}), SETTINGS)
  t.same(trail[0], { at: `endpoint ${a}`, what: 'taken for 10.0.0.9, which 2 endpoints own' })
})

t.test('the trail tells each step', async t => {
  const { trail } = judge(engine, tcp(WEB, DB, 5432), SETTINGS)
  t.same(
    trail.map(({ at, what }) => `${at}: ${what}`),
    [
      `endpoint ${idOf('web')}: egress`,
      'policy front/guard outbound rule 1: passed to the next tier',
      'profile web outbound rule 2: allowed',
      `endpoint ${idOf('db')}: ingress`,
      'profile db inbound rule 1: logged',
      'profile db inbound rule 2: allowed',
    ],
  )
  const denied = judge(engine, tcp(OUTSIDE, WEB, 81), SETTINGS).trail
  t.same(denied.slice(-2), [
    { at: 'profile web inbound', what: 'no rule matches' },
    { at: 'end of profiles', what: 'denied: no profile decided' },
  ])
})

t.test('a list or set that is missing never allows', async t => {
  const view = {
    endpoint: (id: string) => engine.endpoint(id),
    localByAddress: (address: string) => engine.localByAddress(address),
    list: (id: string) => (id.startsWith('policy:') ? undefined : engine.list(id)),
    setMembers: () => undefined,
  }
  t.match(judge(view, tcp(OUTSIDE, WEB, 80), SETTINGS), { allow: false, by: 'policy:front/guard:inbound' })
  t.match(judge(view, tcp(WEB, DB, 5432), SETTINGS), { allow: false, ingress: false })
  t.notOk(permits(view, tcp(OUTSIDE, WEB, 80), SETTINGS))
})

t.test('what a packet does not say matches neither way', async t => {
  const bare = new PolicyEngine(HERE)
  for (const change of [
    endpoint('web', { addresses: [WEB], profiles: ['p'] }),
    rules('p', [
      { protocol: 'tcp', dst_ports: [80] },
      { protocol: 'tcp', '!src_ports': [80] },
      { protocol: 'icmp', icmp_type: 8 },
      { protocol: 'icmp', '!icmp_type': 8 },
    ]),
  ])
    bare.update(change)
  const packet = { family: 4, path: 'forward', source: OUTSIDE, destination: WEB } as const
  t.notOk(judge(bare, { ...packet, protocol: 6 }, SETTINGS).allow, 'no ports')
  t.notOk(judge(bare, { ...packet, protocol: 1 }, SETTINGS).allow, 'no type')
  t.ok(judge(bare, { ...packet, protocol: 1, icmpType: 0 }, SETTINGS).allow)
})
