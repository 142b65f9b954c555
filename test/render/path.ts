import t, { type Test } from 'tap'
import { FakeKernel } from '../../src/kernel/fake/kernel.ts'
import type { Packet } from '../../src/kernel/fake/packet.ts'
import { FAMILIES } from '../../src/model/values.ts'
import type { LocalEndpoint } from '../../src/policy/outcome.ts'
import type { KernelDelta } from '../../src/render/kernel-delta.ts'
import type { RenderOptions } from '../../src/render/options.ts'
import { ipsetText, restoreText } from '../../src/render/print.ts'
import { Renderer } from '../../src/render/renderer.ts'
import {
  BRIDGED,
  delta,
  effective,
  endpoint,
  newSet,
  OPTIONS,
  policyList,
  ports,
  profileList,
  profiles,
} from './fixtures/worlds.ts'

/**
 * Packets walked through the whole rendered path. `a` and `b` are routed, `c` and `d` hang on cbr0 by
 * known ports, `x` is closed. All may send everything; `a` and `c` receive TCP 80 from the tag friends
 * (b, d and one outside), `b` and `d` receive what comes.
 */
const OPEN = { ingress: profiles('inbound', 'open'), egress: profiles('outbound', 'open') }
const PICKY = { ingress: profiles('inbound', 'picky'), egress: profiles('outbound', 'open') }

function pod(name: string, number: number, iface: string, rest: Partial<LocalEndpoint>): LocalEndpoint {
  const where = { interface: iface, addresses4: [`10.0.0.${number}`], addresses6: [`fd00::${number}`] }
  return endpoint(`n/k8s/${name}/eth0`, { ...where, ...rest })
}

const WORLD = delta({
  sets: { 'tag:friends': newSet('10.0.0.2', '10.0.0.4', '192.168.1.1', 'fd00::2', 'fd00::4', '2001:db8::1') },
  lists: [
    profileList('open', 'inbound', [effective('allow')]),
    profileList('open', 'outbound', [effective('allow')]),
    profileList('picky', 'inbound', [
      effective('allow', { protocol: 6, srcSets: ['tag:friends'], dstPorts: ports(80) }),
    ]),
  ],
  endpoints: [
    pod('a', 1, 'cali1', { ...PICKY, mac: 'ee:ee:ee:ee:ee:01' }),
    pod('b', 2, 'cali2', OPEN),
    pod('c', 3, 'veth3', PICKY),
    pod('d', 4, 'veth4', OPEN),
    pod('x', 9, 'cali9', { ...OPEN, closed: 'inactive' }),
  ],
})

function load(options: RenderOptions, ...deltas: KernelDelta[]): FakeKernel {
  const kernel = new FakeKernel()
  for (const [index, { sets, chains }] of deltas.entries()) {
    for (const line of ipsetText(sets).split('\n')) if (line !== '') kernel.ipset(line)
    for (const family of FAMILIES) {
      const text = restoreText(chains, family, { hooks: index === 0 })
      const { stderr } = kernel.restore(family, text)
      if (stderr !== '') throw new Error(`${stderr}\n${text}`)
    }
  }
  const routes = Object.fromEntries(
    [1, 2, 9].flatMap(number => [
      [`10.0.0.${number}/32`, `cali${number}`],
      [`fd00::${number}/128`, `cali${number}`],
    ]),
  )
  const bridges = options.bridges.length > 0 ? { '10.0.0.0/29': 'cbr0', 'fd00::/125': 'cbr0' } : {}
  kernel.setRoutes({ ...bridges, ...routes, '0.0.0.0/0': 'eth0', '::/0': 'eth0' })
  return kernel
}

function kernelOf(changes: Partial<RenderOptions> = {}): FakeKernel {
  const options = { ...BRIDGED, ...changes }
  return load(options, new Renderer(options).render(WORLD))
}

const TCP = {
  protocol: 6,
  sport: 40000,
  dport: 80,
  ctstate: 'NEW',
  mac: 'ee:ee:ee:ee:ee:01',
  hopLimit: 63,
} as const
const PORTS: Readonly<Record<string, string>> = { a: 'cali1', b: 'cali2', c: 'veth3', d: 'veth4', x: 'cali9' }
const NUMBERS: Readonly<Record<string, number>> = { a: 1, b: 2, c: 3, d: 4, x: 9 }

/** A packet from one pod (or `out`, or `node`) to another, as it should look, with changes. */
function packet(family: 4 | 6, from: string, to: string, changes: Partial<Packet> = {}): Packet {
  const address = (name: string) => {
    if (name === 'out') return family === 4 ? '192.168.1.1' : '2001:db8::1'
    if (name === 'node') return family === 4 ? '192.168.9.9' : '2001:db8::9'
    return family === 4 ? `10.0.0.${NUMBERS[name]}` : `fd00::${NUMBERS[name]}`
  }
  const bridged = (name: string) => name === 'c' || name === 'd'
  const device = (name: string) => (name === 'out' ? 'eth0' : bridged(name) ? 'cbr0' : PORTS[name]!)
  const path = from === 'node' ? 'output' : to === 'node' ? 'input' : 'forward'
  return {
    family,
    path,
    src: address(from),
    dst: address(to),
    ...TCP,
    ...(path === 'output' ? {} : { in: device(from) }),
    ...(path === 'input' ? {} : { out: device(to) }),
    ...(bridged(from) ? { physdevIn: PORTS[from]! } : {}),
    ...(bridged(from) && bridged(to) ? { physdevOut: PORTS[to]! } : {}),
    ...changes,
  }
}

type Line = readonly [what: string, from: string, to: string, passes: boolean, changes?: Partial<Packet>]

function check(t: Test, kernel: FakeKernel, lines: readonly Line[], families = FAMILIES): void {
  for (const family of families)
    for (const [what, from, to, passes, changes = {}] of lines) {
      const { verdict, trail, mark } = kernel.walk(packet(family, from, to, changes))
      t.equal(verdict, passes ? 'ACCEPT' : 'DROP', `IPv${family}: ${what}`, { trail })
      if (passes) t.equal(mark, changes.mark ?? 0, `IPv${family}: ${what}, no mark of ours is left`)
    }
}

const UDP = { protocol: 17, dport: 5000 } as const

t.test('forwarded packets', async t => {
  check(t, kernelOf(), [
    ['a pod sends out', 'a', 'out', true],
    ['a pod on the bridge sends out', 'c', 'out', true],
    ['an allowed port', 'b', 'a', true],
    ['another port', 'b', 'a', false, { dport: 81 }],
    ['another protocol', 'b', 'a', false, UDP],
    ['no friend', 'c', 'a', false],
    ['from outside, a friend', 'out', 'a', true],
    ['from outside, another port', 'out', 'a', false, { dport: 443 }],
    ['on one bridge', 'd', 'c', true],
    ['on one bridge, another port', 'd', 'c', false, { dport: 81 }],
    ['from routed to bridge', 'b', 'c', true],
    ['everything to an open pod', 'c', 'b', true, UDP],
    ['a closed pod sends', 'x', 'out', false],
    ['a closed pod receives', 'out', 'x', false],
    ['hairpin, routed', 'a', 'a', true],
    ['hairpin on the bridge', 'c', 'c', true, UDP],
    ['an answer', 'a', 'b', true, { ctstate: 'ESTABLISHED' }],
    ['an answer to outside', 'out', 'a', true, { ...UDP, ctstate: 'RELATED' }],
    ['a packet of no connection', 'b', 'a', false, { ctstate: 'INVALID' }],
    ['a foreign mark stays', 'b', 'a', true, { mark: 0x4000 }],
    ['our mark set by others opens nothing', 'out', 'a', false, { ...UDP, mark: 0x7000000 }],
    ['an unknown workload interface', 'a', 'out', false, { in: 'cali77' }],
    ['out of another interface than its own', 'out', 'a', false, { out: 'cali2' }],
    ['traffic that is not ours', 'out', 'out', true, { out: 'eth1' }],
  ])
  check(t, kernelOf(), [['an unknown address', 'out', 'a', false, { dst: '10.0.0.77' }]], [4])
})

t.test('spoofed packets, established ones too', async t => {
  const spoofs: Line[] = [
    ["another pod's address", 'a', 'out', false, { in: 'cali2' }],
    ["another pod's address, routed to bridge", 'c', 'out', false, { in: 'cali1' }],
    ["another pod's address, bridge to routed", 'a', 'out', false, { in: 'cbr0', physdevIn: 'veth3' }],
    ["a neighbour's address", 'd', 'c', false, { physdevIn: 'veth3' }],
    ["a neighbour's address without a bridge port", 'd', 'c', false, { physdevIn: 'veth77' }],
    ['an address of outside', 'out', 'b', false, { in: 'cali1' }],
    ['an address of outside on the bridge', 'out', 'b', false, { in: 'cbr0', physdevIn: 'veth3' }],
  ]
  const kernel = kernelOf()
  check(t, kernel, spoofs)
  check(
    t,
    kernel,
    spoofs.map(([what, from, to, passes, changes]) => [
      `${what}, established`,
      from,
      to,
      passes,
      { ...changes, ctstate: 'ESTABLISHED' },
    ]),
  )
  check(t, kernel, [['another mac', 'a', 'out', false, { mac: 'ee:ee:ee:ee:ee:02' }]])
})

t.test('link-local packets and neighbour discovery', async t => {
  const link = { src: 'fe80::1', hopLimit: 255, protocol: 58, icmpCode: 0, ctstate: 'UNTRACKED' } as const
  const lines: Line[] = [
    ['a solicitation on the bridge', 'c', 'd', true, { ...link, icmpType: 135 }],
    ['an advertisement from the own address', 'c', 'd', true, { ...link, src: 'fd00::3', icmpType: 136 }],
    ['one that crossed a router', 'c', 'd', false, { ...link, icmpType: 135, hopLimit: 254 }],
    ['a listener report to another pod', 'c', 'd', false, { ...link, icmpType: 143 }],
    ['a listener report from outside', 'out', 'c', false, { ...link, src: '2001:db8::7', icmpType: 143 }],
    ['an echo between link addresses', 'c', 'd', false, { ...link, icmpType: 128 }],
    ['TCP between link addresses', 'c', 'd', false, { src: 'fe80::1' }],
    ['TCP from a link address, established', 'c', 'd', false, { src: 'fe80::1', ctstate: 'ESTABLISHED' }],
    ['a router advertisement', 'c', 'd', false, { ...link, icmpType: 134 }],
    ['a redirect', 'a', 'b', false, { ...link, src: 'fd00::1', icmpType: 137 }],
    ['a solicitation to the node', 'a', 'node', true, { ...link, icmpType: 135 }],
    ['a listener report to the node', 'a', 'node', true, { ...link, icmpType: 143, hopLimit: 1 }],
    ['duplicate address detection', 'c', 'd', true, { ...link, src: '::', icmpType: 135 }],
    ['DHCP to the node', 'a', 'node', true, { src: 'fe80::1', protocol: 17, sport: 546, dport: 547 }],
  ]
  check(t, kernelOf(), lines, [6])
  check(
    t,
    kernelOf({ workloadToNode: 'drop' }),
    [
      ['DHCP to the node', 'a', 'node', false, { src: 'fe80::1', protocol: 17, sport: 546, dport: 547 }],
      ['a solicitation to the node', 'a', 'node', true, { ...link, icmpType: 135 }],
    ],
    [6],
  )
})

const DHCP = { src: '0.0.0.0', dst: '255.255.255.255', protocol: 17, sport: 68, dport: 67 } as const

t.test('to the node', async t => {
  const lines: Line[] = [
    ['what egress policy allows', 'a', 'node', true, { dport: 22 }],
    ['DNS', 'c', 'node', true, { protocol: 17, dport: 53 }],
    ['a closed pod', 'x', 'node', false],
    ['an unknown workload interface', 'a', 'node', false, { in: 'cali77' }],
  ]
  check(t, kernelOf(), lines)
  check(
    t,
    kernelOf(),
    [
      ['DHCP', 'a', 'node', true, DHCP],
      ['DHCP on the bridge', 'c', 'node', true, DHCP],
      ['DNS without an address', 'a', 'node', false, { ...DHCP, sport: 4000, dport: 53 }],
      ['DNS without an address on the bridge', 'c', 'node', false, { ...DHCP, sport: 4000, dport: 53 }],
    ],
    [4],
  )
  check(t, kernelOf({ workloadToNode: 'drop' }), [
    ['what egress policy allows', 'a', 'node', false, { dport: 22 }],
    ['DNS', 'c', 'node', false, { protocol: 17, dport: 53 }],
    ['an answer', 'a', 'node', true, { ctstate: 'ESTABLISHED' }],
    ['outside to the node', 'out', 'node', true],
  ])
  check(t, kernelOf({ workloadToNode: 'drop' }), [['DHCP', 'c', 'node', false, DHCP]], [4])
})

t.test('from the node', async t => {
  check(t, kernelOf(), [['everything passes', 'node', 'a', true, UDP]])
  check(t, kernelOf({ nodeToWorkload: 'policy' }), [
    ['no friend', 'node', 'a', false],
    ['an open pod', 'node', 'b', true, UDP],
    ['an open pod on the bridge', 'node', 'd', true, UDP],
    ['a closed pod', 'node', 'x', false],
    ['a pod, while the route is still that of a service address', 'node', 'a', false, { out: 'eth0' }],
    ['an open pod, likewise', 'node', 'b', true, { out: 'eth0' }],
    ['an answer', 'node', 'a', true, { ...UDP, ctstate: 'ESTABLISHED' }],
    ['no pod at all', 'node', 'out', true, { ...UDP, mark: 0x8000 }],
  ])
})

t.test('a cut connection passes in neither direction', async t => {
  const kernel = kernelOf({ nodeToWorkload: 'policy' })
  t.equal(kernel.ipset('add podf-cut-4 10.0.0.2,tcp:80,10.0.0.1').exit, 0)
  t.equal(kernel.ipset('add podf-cut-6 fd00::2,tcp:80,fd00::1').exit, 0)
  check(t, kernel, [
    ['the client', 'b', 'a', false],
    ['the server', 'a', 'b', false, { sport: 80, dport: 40000 }],
    ['the same pods, another port', 'a', 'b', true, { sport: 81, dport: 40000 }],
    ['another client', 'd', 'a', true],
  ])
})

t.test(
  'while connections are being cut, established packets of theirs pass in neither direction',
  async t => {
    for (const nodeToWorkload of ['allow', 'policy'] as const) {
      const options = { ...BRIDGED, nodeToWorkload }
      const renderer = new Renderer(options)
      const kernel = load(options, renderer.render(WORLD), renderer.cutFirst(true))
      t.equal(kernel.ipset('add podf-cut-4 10.0.0.2,tcp:80,10.0.0.1').exit, 0)
      t.equal(kernel.ipset('add podf-cut-6 fd00::2,tcp:80,fd00::1').exit, 0)
      t.equal(kernel.ipset('add podf-cut-4 10.0.0.2,tcp:22,192.168.9.9').exit, 0)
      t.equal(kernel.ipset('add podf-cut-6 fd00::2,tcp:22,2001:db8::9').exit, 0)
      const open = { ctstate: 'ESTABLISHED' } as const
      const lines: Line[] = [
        ['another connection', 'a', 'b', true, { ...open, sport: 81, dport: 40000 }],
        ['another connection to the node', 'b', 'node', true, { ...open, dport: 23 }],
        ['another connection from the node', 'node', 'b', true, { ...open, sport: 23, dport: 40000 }],
      ]
      const cut: Line[] = [
        ['the client', 'b', 'a', false, open],
        ['the server', 'a', 'b', false, { ...open, sport: 80, dport: 40000 }],
        ['to the node', 'b', 'node', false, { ...open, dport: 22 }],
        ['from the node', 'node', 'b', false, { ...open, sport: 22, dport: 40000 }],
      ]
      check(t, kernel, [...lines, ...cut])
    }
  },
)

t.test('an address that is held carries nothing, established or new, and all others do', async t => {
  for (const nodeToWorkload of ['allow', 'policy'] as const) {
    const options = { ...BRIDGED, nodeToWorkload }
    const renderer = new Renderer(options)
    const kernel = load(options, renderer.render(WORLD), renderer.hold(new Set(['10.0.0.1', 'fd00::1'])))
    const lines = (['NEW', 'ESTABLISHED'] as const).flatMap((ctstate): Line[] => [
      [`${ctstate}: from it`, 'a', 'b', false, { ctstate }],
      [`${ctstate}: to it`, 'b', 'a', false, { ctstate }],
      [`${ctstate}: from it to the node`, 'a', 'node', false, { ctstate, dport: 53 }],
      [`${ctstate}: to it from the node`, 'node', 'a', false, { ctstate }],
      [`${ctstate}: to it from outside`, 'out', 'a', false, { ctstate }],
    ])
    check(t, kernel, [...lines, ['another', 'b', 'd', true, { ctstate: 'ESTABLISHED' }]])
    t.same(renderer.hold(new Set(['fd00::1', '10.0.0.1'])).chains, [], 'once')
    t.not(renderer.hold(new Set()).chains.length, 0)
    t.same(renderer.hold(new Set()).chains, [])
  }
})

t.test('the cut sets go behind established connections again', async t => {
  const renderer = new Renderer(BRIDGED)
  const before = renderer.render(WORLD)
  const on = renderer.cutFirst(true)
  const text = (names: readonly string[]) => before.chains.filter(({ name }) => names.includes(name))
  const names = ['podf-forward-from', 'podf-forward-to', 'podf-input', 'podf-OUTPUT']
  t.same([...new Set(on.chains.map(({ name }) => name))].sort(), [...names].sort(), 'nothing else is written')
  t.same(renderer.cutFirst(true).chains, [], 'once')
  const key = ({ name, family }: { name: string; family: number }) => `${family} ${name}`
  const sorted = (chains: typeof on.chains) => [...chains].sort((a, b) => (key(a) < key(b) ? -1 : 1))
  t.same(sorted(renderer.cutFirst(false).chains), sorted(text(names)))
  t.same(new Renderer(BRIDGED).cutFirst(true).chains, [], 'nothing before the first delta')
})

t.test('a cut connection to the node is not opened again by the node', async t => {
  for (const nodeToWorkload of ['allow', 'policy'] as const) {
    const kernel = kernelOf({ nodeToWorkload })
    t.equal(kernel.ipset('add podf-cut-4 10.0.0.2,tcp:22,192.168.9.9').exit, 0)
    t.equal(kernel.ipset('add podf-cut-6 fd00::2,tcp:22,2001:db8::9').exit, 0)
    check(t, kernel, [
      ['the client', 'b', 'node', false, { dport: 22 }],
      ['the server', 'node', 'b', false, { sport: 22, dport: 40000 }],
      ['another port of the node', 'node', 'b', true, { sport: 23, dport: 40000 }],
      ['an answer to what the pod opened since', 'node', 'b', true, { sport: 22, ctstate: 'ESTABLISHED' }],
    ])
  }
})

t.test('a chain that somebody emptied passes nothing', async t => {
  const options = { ...BRIDGED, nodeToWorkload: 'policy' } as const
  const { chains } = new Renderer(options).render(WORLD)
  const name = (owner: string) => chains.find(chain => chain.family === 4 && chain.owner === owner)!.name
  const emptied = (owner: string, lines: readonly Line[]) => {
    const kernel = kernelOf(options)
    t.equal(kernel.restore(4, `*filter\n-F ${name(owner)}\nCOMMIT\n`).exit, 0)
    check(t, kernel, lines, [4])
  }
  emptied('endpoint n/k8s/b/eth0 to', [
    ['forwarded', 'd', 'b', false],
    ['from the node', 'node', 'b', false],
    ['from the node, to another', 'node', 'd', true],
    ['from the node, to nobody', 'node', 'out', true],
  ])
  emptied('endpoint n/k8s/b/eth0 from', [
    ['forwarded', 'b', 'out', false],
    ['to the node', 'b', 'node', false],
  ])
  emptied('dispatch to', [
    ['forwarded', 'd', 'b', false],
    ['from the node', 'node', 'b', false],
  ])
  emptied('dispatch from', [
    ['forwarded', 'd', 'b', false],
    ['to the node', 'd', 'node', false],
  ])
})

t.test('with several bridges, none lends its addresses to another', async t => {
  const options = { ...BRIDGED, bridges: ['cbr0', 'cbr1'], nodeToWorkload: 'policy' } as const
  const u = pod('u', 3, 'cbr1', OPEN)
  const world = { ...WORLD, endpoints: new Map([...WORLD.endpoints, [u.id, u], ['n/k8s/c/eth0', null]]) }
  const lost: readonly Line[] = [
    ['from another bridge', 'c', 'out', false],
    ['from another bridge, established', 'c', 'out', false, { ctstate: 'ESTABLISHED' }],
    ['to the node from another bridge', 'c', 'node', false, { protocol: 17, dport: 53 }],
    ['into another bridge', 'b', 'c', false],
    ['to a routed interface instead', 'b', 'c', false, { out: 'cali1' }],
  ]
  const kernel = load(options, new Renderer(options).render(world))
  check(t, kernel, lost)
  check(t, kernel, [
    ['from its own bridge', 'c', 'out', true, { in: 'cbr1', physdevIn: 'veth77' }],
    ['into its own bridge', 'b', 'c', true, { out: 'cbr1' }],
    ['into the bridge of a known port', 'b', 'd', true],
  ])
})

t.test('onAllow: return leaves it to the rules behind', async t => {
  const kernel = kernelOf({ onAllow: 'return' })
  for (const family of FAMILIES) kernel.restore(family, '*filter\n:FORWARD DROP [0:0]\nCOMMIT\n')
  check(t, kernel, [
    ['allowed, but the policy of FORWARD is DROP', 'b', 'a', false],
    ['established likewise', 'b', 'a', false, { ctstate: 'ESTABLISHED' }],
  ])
  check(t, kernelOf({ onAllow: 'return' }), [
    ['allowed', 'b', 'a', true],
    ['denied', 'c', 'a', false],
  ])
})

t.test('tiers and profiles', async t => {
  const lists = [
    policyList('t1/p1', 'inbound', [
      effective('deny', { protocol: 6, dstPorts: ports(1) }),
      effective('next-tier', { protocol: 6, dstPorts: ports('1:9') }),
    ]),
    policyList('t1/p2', 'inbound', [
      effective('deny', { protocol: 6, dstPorts: ports(2) }),
      effective('allow', { protocol: 6, dstPorts: ports(10) }),
    ]),
    policyList('t2/p3', 'inbound', [
      effective('allow', { protocol: 6, dstPorts: ports(2) }),
      effective('next-tier', { protocol: 6, dstPorts: ports('3:4') }),
    ]),
    profileList('one', 'inbound', [
      effective('next-tier', { protocol: 6, dstPorts: ports(3) }),
      effective('deny', { protocol: 6, dstPorts: ports(4) }),
    ]),
    profileList('two', 'inbound', [effective('allow')]),
    profileList('open', 'outbound', [effective('allow')]),
  ]
  const ingress = {
    tiers: [
      { name: 't1', lists: ['policy:t1/p1:inbound', 'policy:t1/p2:inbound'] },
      { name: 't2', lists: ['policy:t2/p3:inbound'] },
    ],
    profiles: ['profile:one:inbound', 'profile:two:inbound'],
  }
  const egress = profiles('outbound', 'open')
  const endpoints = [
    pod('a', 1, 'cali1', { ingress, egress }),
    pod('b', 2, 'cali2', { ingress: profiles('inbound', 'absent', 'two'), egress }),
    pod('x', 9, 'cali9', {
      ingress: { tiers: [{ name: 't', lists: ['policy:absent'] }], profiles: [] },
      egress,
    }),
  ]
  const kernel = load(OPTIONS, new Renderer(OPTIONS).render(delta({ lists, endpoints })))
  const to = (port: number, passes: boolean, what: string): Line => [
    what,
    'out',
    'a',
    passes,
    { dport: port },
  ]
  check(t, kernel, [
    to(1, false, 'denied by the first policy'),
    to(2, true, 'passed on before the second policy denies, allowed by the next tier'),
    to(3, true, 'passed on twice, the first profile ends without a verdict, the second allows'),
    to(4, false, 'passed on twice, denied by the first profile'),
    to(5, false, 'passed on once, the second tier ends'),
    to(10, true, 'allowed by the second policy'),
    to(11, false, 'the first tier ends'),
    ['a list that is not there denies, and no later profile is asked', 'out', 'b', false],
    ['a policy that is not there denies', 'out', 'x', false],
  ])
})

t.test('the gate is shut until the first delta replaces it', async t => {
  for (const nodeToWorkload of ['allow', 'policy'] as const) {
    const options = { ...BRIDGED, nodeToWorkload }
    const renderer = new Renderer(options)
    const gate = load(options, renderer.gate())
    check(t, gate, [
      ['from a pod', 'a', 'out', false],
      ['to a pod', 'out', 'a', false],
      ['to a pod, established', 'out', 'c', false, { ctstate: 'ESTABLISHED' }],
      ['from a pod to the node', 'c', 'node', false, { ctstate: 'ESTABLISHED' }],
      ['from the node', 'node', 'a', nodeToWorkload === 'allow'],
      ['what is not ours', 'out', 'out', true, { out: 'eth1' }],
    ])
    check(t, load(options, renderer.gate(), renderer.render(WORLD)), [
      ['an allowed packet', 'b', 'a', true],
      ['a denied one', 'c', 'a', false],
    ])
  }
})
