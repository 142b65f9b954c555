import type { Test } from 'tap'
import type { Stage } from '../../../src/lab/stage.ts'
import type { RuleObject } from '../../../src/lab/world.ts'
import type { Variant } from '../../stage.ts'
import { openScene } from '../support/scene.ts'
import { tableOf } from '../support/table.ts'

/** A pod's rules, and what comes through from (or to) each peer: a cell for red, blue, violet and plain. */
interface Case {
  readonly rules: readonly RuleObject[]
  readonly cells: string
  /** Where IPv6 differs. */
  readonly cells6?: string
}

/** red and plain are on the first node, blue and violet on the second. violet has the tags red and blue, plain none. */
const PEERS = { red: 'n1 routed', blue: 'n2 routed', violet: 'n2 routed', plain: 'n1 routed' } as const
const TAGS: Readonly<Record<keyof typeof PEERS, readonly string[]>> = {
  red: ['red'],
  blue: ['blue'],
  violet: ['red', 'blue'],
  plain: [],
}
const ASKED = '80 443 8080 u53 80<1024 ping s5000'

const tcp = { protocol: 'tcp' }
/** `count` ports that nobody asks for. */
const others = (count: number) => Array.from({ length: count }, (_, at) => 2000 + at)
const all = (cell: string) => `${cell} ${cell} ${cell} ${cell}`

/** On the first node. */
const INBOUND: Readonly<Record<string, Case>> = {
  nothing: { rules: [], cells: all('X') },
  everything: { rules: [{}], cells: all('.') },
  tag: { rules: [{ src_tag: 'red' }], cells: '. X . X' },
  'tag-no-one-has': { rules: [{ src_tag: 'green' }], cells: all('X') },
  'not-tag': { rules: [{ '!src_tag': 'red' }], cells: 'X . X .' },
  'not-tag-no-one-has': { rules: [{ '!src_tag': 'green' }], cells: all('.') },
  'tag-but-not-tag': { rules: [{ src_tag: 'red', '!src_tag': 'blue' }], cells: '. X X X' },
  'deny-tag': { rules: [{ action: 'deny', src_tag: 'red' }, {}], cells: 'X . X .' },
  'deny-not-tag': { rules: [{ action: 'deny', '!src_tag': 'red' }, {}], cells: '. X . X' },
  'deny-too-late': { rules: [{}, { action: 'deny' }], cells: all('.') },
  'own-tag': { rules: [{ dst_tag: 'target' }, { '!dst_tag': 'target', ...tcp }], cells: all('.') },
  'logged-first': { rules: [{ action: 'log' }, { src_tag: 'red' }], cells: '. X . X' },
  'not-protocol': { rules: [{ '!protocol': 'tcp' }], cells: all('u53,ping,s5000') },
  'protocol-number': { rules: [{ protocol: 17 }], cells: all('u53') },
  sctp: { rules: [{ protocol: 'sctp', dst_ports: [5000] }], cells: all('s5000') },
  'port-range': {
    rules: [{ ...tcp, dst_ports: ['79:80', '8079:8081'] }],
    cells: all('80,8080,80<1024'),
  },
  'not-port': { rules: [{ ...tcp, '!dst_ports': [80, '8000:9000'] }], cells: all('443') },
  'source-port': { rules: [{ ...tcp, src_ports: ['1000:1024'] }], cells: all('80<1024') },
  'not-source-port': { rules: [{ ...tcp, '!src_ports': ['1:2000'] }], cells: all('80,443,8080') },
  'many-ports': { rules: [{ ...tcp, dst_ports: [443, ...others(20), 80] }], cells: all('80,443,80<1024') },
  'many-ranges': {
    rules: [{ ...tcp, dst_ports: ['440:450', ...others(7).map(port => `${port}:${port + 1}`), '8000:8080'] }],
    cells: all('443,8080'),
  },
  'not-many-ports': { rules: [{ ...tcp, '!dst_ports': [443, ...others(20), 80] }], cells: all('8080') },
  'deny-many-ports': {
    rules: [{ action: 'deny', ...tcp, dst_ports: [443, ...others(20), 80] }, {}],
    cells: all('8080,u53,ping,s5000'),
  },
  'deny-not-many-ports': {
    rules: [{ action: 'deny', ...tcp, '!dst_ports': [443, ...others(20), 80] }, {}],
    cells: all('80,443,80<1024,u53,ping,s5000'),
  },
  'many-of-both': {
    rules: [{ ...tcp, src_ports: [...others(20), 1024], dst_ports: [...others(20), 80], src_tag: 'red' }],
    cells: '80<1024 X 80<1024 X',
  },
  'many-but-not-many': {
    rules: [{ ...tcp, dst_ports: [80, ...others(20), 443], '!dst_ports': [443, ...others(18)] }],
    cells: all('80,80<1024'),
  },
  'ipv4-only': { rules: [{ ip_version: 4, src_tag: 'red' }], cells: '. X . X', cells6: all('X') },
  'deny-ipv6-only': { rules: [{ action: 'deny', ip_version: 6 }, {}], cells: all('.'), cells6: all('X') },
  'net-of-ipv4': { rules: [{ src_net: '10.65.2.0/24' }], cells: 'X . . X', cells6: all('X') },
  'all-of-ipv6': { rules: [{ src_net: '::/0' }], cells: all('X'), cells6: all('.') },
  'not-net-of-ipv4': { rules: [{ '!src_net': '10.65.1.0/24' }], cells: 'X . . X', cells6: all('X') },
  'deny-net-of-ipv4': {
    rules: [{ action: 'deny', src_net: '10.65.2.0/24' }, {}],
    cells: '. X X .',
    cells6: all('.'),
  },
  'deny-not-net-of-ipv6': {
    rules: [{ action: 'deny', '!src_net': 'fd65:0:0:1::/64' }, {}],
    cells: all('.'),
    cells6: '. X X .',
  },
  'net-but-not-net': {
    rules: [
      { src_net: '10.65.0.0/16', '!src_net': '10.65.1.0/24' },
      { src_net: 'fd65::/16', '!src_net': 'fd65:0:0:2::/64' },
    ],
    cells: 'X . . X',
    cells6: '. X X .',
  },
  'deny-net-but-not-net': {
    rules: [{ action: 'deny', src_net: '10.0.0.0/8', '!src_net': '10.65.2.0/24', '!src_tag': 'red' }, {}],
    cells: '. . . X',
    cells6: all('.'),
  },
  'icmp-type': { rules: [{ protocol: 'icmp', icmp_type: 8 }], cells: all('ping'), cells6: all('X') },
  'icmpv6-type': { rules: [{ protocol: 'icmpv6', icmp_type: 128 }], cells: all('X'), cells6: all('ping') },
  'not-icmp-type': {
    rules: [
      { protocol: 'icmp', '!icmp_type': 8, '!icmp_code': 1 },
      { protocol: 'icmpv6', '!icmp_type': 128 },
    ],
    cells: all('ping'),
    cells6: all('X'),
  },
}

/** On the second node. */
const OUTBOUND: Readonly<Record<string, Case>> = {
  'out-nothing': { rules: [], cells: all('X') },
  'out-tag': { rules: [{ ...tcp, dst_tag: 'red', dst_ports: [80] }], cells: '80,80<1024 X 80,80<1024 X' },
  'out-not-tag': { rules: [{ '!dst_tag': 'red' }], cells: 'X . X .' },
  'out-deny-tag': { rules: [{ action: 'deny', dst_tag: 'blue' }, {}], cells: '. X X .' },
  'out-deny-not-tag': { rules: [{ action: 'deny', '!dst_tag': 'blue' }, {}], cells: 'X . . X' },
  'out-net': { rules: [{ dst_net: '10.65.2.0/24' }], cells: 'X . . X', cells6: all('X') },
  'out-net-but-not': {
    rules: [{ dst_net: 'fd65::/16', '!dst_net': 'fd65:0:0:2::/64' }],
    cells: all('X'),
    cells6: '. X X .',
  },
  'out-own-tag': { rules: [{ src_tag: 'target', protocol: 'udp' }], cells: all('u53') },
  'out-many-ports': {
    rules: [{ ...tcp, dst_ports: [443, ...others(20), 80] }],
    cells: all('80,443,80<1024'),
  },
  'out-not-many-ports': { rules: [{ ...tcp, '!dst_ports': [443, ...others(20), 80] }], cells: all('8080') },
}

export async function rules(t: Test, stage: Stage, variant: Variant): Promise<void> {
  const standing = (cases: object, where: 'n1 routed' | 'n2 routed') =>
    Object.fromEntries(Object.keys(cases).map(name => [name, where] as const))
  const scene = await openScene<string>(stage, variant, {
    ...PEERS,
    ...standing(INBOUND, 'n1 routed'),
    ...standing(OUTBOUND, 'n2 routed'),
  })
  await stage.show({
    endpoints: Object.entries(scene.pods).map(([name, pod]) => ({ pod, profiles: [name] })),
    profiles: Object.fromEntries([
      ...Object.entries(TAGS).map(([name, tags]) => [name, { tags, inbound: [{}] }] as const),
      ...Object.entries(INBOUND).map(
        ([name, { rules }]) => [name, { tags: ['target'], inbound: rules }] as const,
      ),
      ...Object.entries(OUTBOUND).map(
        ([name, { rules }]) => [name, { tags: ['target'], outbound: rules }] as const,
      ),
    ]),
  })

  const peers = Object.keys(PEERS)
  const cellsOf = ({ cells, cells6 = cells }: Case, family: 4 | 6): Record<string, string> => {
    const words = (family === 4 ? cells : cells6).split(' ')
    return Object.fromEntries(peers.map((peer, at) => [peer, words[at]!]))
  }
  for (const family of variant.families) {
    await t.test(`inbound, IPv${family}`, async t => {
      await Promise.all(
        Object.entries(INBOUND).map(([name, each]) =>
          scene.reaches(t, name, ASKED, tableOf({ [name]: cellsOf(each, family) }), [family]),
        ),
      )
    })
    await t.test(`outbound, IPv${family}`, async t => {
      await Promise.all(
        Object.entries(OUTBOUND).map(([name, each]) => {
          const row = cellsOf(each, family)
          const columns = Object.fromEntries(peers.map(peer => [peer, { [name]: row[peer]! }]))
          return scene.reaches(t, name, ASKED, tableOf(columns), [family])
        }),
      )
    })
  }
}
