import type { Family } from '../../../src/model/values.ts'
import type { LocalEndpoint } from '../../../src/policy/outcome.ts'
import type { RenderOptions } from '../../../src/render/options.ts'
import { type Content, type Question, type Wire, wireOf } from './question.ts'

/** All packets worth asking about on a node. */

export const NODE_ADDRESSES = ['192.168.9.9', '2001:db8::9']
const STRANGERS = ['192.0.2.1', '2001:db8::1', '10.1.0.1', 'fd01::1']
/** Of the workloads' networks, and nobody's. */
const UNKNOWN = ['10.0.0.77', 'fd00::77']
const OUTSIDE: Wire = { device: 'eth0', port: null }
const OTHER_OUTSIDE: Wire = { device: 'eth1', port: null }
const GOOD_MAC = 'ee:ee:ee:ee:ee:01'
const BAD_MAC = 'ee:ee:ee:ee:ee:02'

interface Side {
  readonly wire: Wire
  readonly address: string
}

const TCP = { protocol: 6, sport: 40000, dport: 80 }
const FEW: Readonly<Record<Family, readonly Content[]>> = {
  4: [TCP, { protocol: 17, sport: 1000, dport: 53 }, { protocol: 1, icmpType: 8, icmpCode: 0 }],
  6: [TCP, { protocol: 17, sport: 1000, dport: 53 }, { protocol: 58, icmpType: 128, icmpCode: 0 }],
}
const PORTED: readonly Content[] = [
  { protocol: 6, sport: 1, dport: 443 },
  { protocol: 6, sport: 80, dport: 82 },
  { protocol: 6, sport: 65535, dport: 0 },
  { protocol: 6, sport: 40000, dport: 53 },
  { protocol: 17, sport: 79, dport: 80 },
  { protocol: 17, sport: 500, dport: 37 },
  { protocol: 132, sport: 1000, dport: 80 },
  { protocol: 136, sport: 37, dport: 65535 },
  { protocol: 33, sport: 0, dport: 481 },
]
const MANY: Readonly<Record<Family, readonly Content[]>> = {
  4: [
    ...FEW[4],
    ...PORTED,
    { protocol: 17, sport: 68, dport: 67 },
    { protocol: 1, icmpType: 8, icmpCode: 1 },
    { protocol: 1, icmpType: 3, icmpCode: 1 },
    ...[47, 4, 253, 51].map(protocol => ({ protocol })),
  ],
  6: [
    ...FEW[6],
    ...PORTED,
    { protocol: 17, sport: 546, dport: 547 },
    { protocol: 58, icmpType: 128, icmpCode: 1 },
    { protocol: 58, icmpType: 3, icmpCode: 1 },
    ...[130, 133, 134, 135, 136, 137, 143].map(icmpType => ({ protocol: 58, icmpType, icmpCode: 0 })),
    ...[47, 4, 253].map(protocol => ({ protocol })),
  ],
}

/** As the node's routing has it: every owner's way, should there be several. */
export function routesOf(
  endpoints: readonly LocalEndpoint[],
  options: RenderOptions,
): readonly (readonly [string, string])[] {
  return endpoints.flatMap(endpoint =>
    addressesOf(endpoint).map(address => [address, wireOf(endpoint, options).device] as const),
  )
}

function addressesOf({ addresses4, addresses6 }: LocalEndpoint): readonly string[] {
  return [...addresses4, ...addresses6]
}

/** Every pair of those who are where they should be, on every path. `many`: with everything they could send. */
export function honest(
  endpoints: readonly LocalEndpoint[],
  options: RenderOptions,
  many: boolean,
): Question[] {
  const workloads = sidesOf(endpoints, options)
  const outside = STRANGERS.map((address): Side => ({ wire: OUTSIDE, address }))
  const senders = [...workloads, ...outside]
  const receivers = [...workloads, ...outside, ...unknown(options)]
  const nodes = NODE_ADDRESSES.map((address): Side => ({ wire: OUTSIDE, address }))
  return [
    ...pairs('forward', senders, receivers, options, many),
    ...pairs('to-node', senders, nodes, options, many),
    ...pairs('from-node', nodes, receivers, options, many),
    ...services(nodes, workloads, options),
  ]
}

/** Each endpoint with each of its addresses. */
function sidesOf(endpoints: readonly LocalEndpoint[], options: RenderOptions): Side[] {
  const sides = new Map<string, Side>()
  for (const endpoint of endpoints) {
    const wire = wireOf(endpoint, options)
    for (const address of addressesOf(endpoint))
      sides.set(`${wire.device} ${wire.port} ${address}`, { wire, address })
  }
  return [...sides.values()]
}

/** Nobody's addresses, behind each kind of workload device. */
function unknown(options: RenderOptions): Side[] {
  const wires: Wire[] = [...options.bridges, 'cali9'].map(device => ({ device, port: null }))
  return wires.flatMap(wire => UNKNOWN.map(address => ({ wire, address })))
}

/** The node's own packets to a service address still name the way there. */
function services(nodes: readonly Side[], workloads: readonly Side[], options: RenderOptions): Question[] {
  const there = workloads.map(({ address }): Side => ({ wire: OUTSIDE, address }))
  return pairs('from-node', nodes, there, options, false)
}

/** Each wire with every address that is not its own, and with those of the link; and packets that go astray. */
export function crooked(endpoints: readonly LocalEndpoint[], options: RenderOptions): Question[] {
  const wires = new Map<string, Wire>()
  for (const endpoint of endpoints) {
    const wire = wireOf(endpoint, options)
    wires.set(`${wire.device} ${wire.port}`, wire)
  }
  for (const device of [...options.bridges, 'cali9', 'br-x', 'eth0'])
    wires.set(`${device} x`, { device, port: device === 'cali9' || device === 'eth0' ? null : 'x99' })
  const owned = [...new Set(endpoints.flatMap(addressesOf))]
  const link = ['fe80::5', '::', '0.0.0.0']
  const sources = [...owned, ...STRANGERS, ...UNKNOWN, ...NODE_ADDRESSES, ...link]
  const senders = [...wires.values()].flatMap(wire => sources.map((address): Side => ({ wire, address })))
  // Of several bridges with a routed one's name nobody knows which is whose.
  const clear = !(options.bridges.length > 1 && options.bridges.includes('cali-br'))
  const astray = [...wires.values()]
    .filter(({ port }) => clear || port !== null)
    .flatMap(wire => owned.map((address): Side => ({ wire, address })))
  const groups = ['255.255.255.255', 'ff02::1'].map((address): Side => ({ wire: OUTSIDE, address }))
  const nodes = [...NODE_ADDRESSES.map((address): Side => ({ wire: OUTSIDE, address })), ...groups]
  const some = [...owned.slice(0, 3), ...owned.filter(address => address.includes(':')).slice(0, 3)]
  const targets = endpoints.flatMap(endpoint =>
    addressesOf(endpoint)
      .filter(address => some.includes(address))
      .map((address): Side => ({ wire: wireOf(endpoint, options), address })),
  )
  const flooded = options.bridges.map(
    (device): Side => ({ wire: { device, port: 'x98' }, address: 'ff02::1' }),
  )
  const honestSenders = sidesOf(endpoints, options)
  return [
    ...pairs('forward', senders, [...targets, ...flooded], options, false),
    ...pairs('forward', senders, flooded, options, true),
    ...pairs('to-node', senders, nodes, options, true),
    ...pairs(
      'forward',
      [...honestSenders.slice(0, 4), { wire: OUTSIDE, address: STRANGERS[0]! }],
      astray,
      options,
      false,
    ),
  ].filter(({ from, to, path }) => path !== 'forward' || from.device !== 'eth0' || to.device !== 'eth0')
}

function pairs(
  path: Question['path'],
  senders: readonly Side[],
  receivers: readonly Side[],
  options: RenderOptions,
  many: boolean,
): Question[] {
  const questions: Question[] = []
  for (const from of senders)
    for (const receiver of receivers) {
      const family = from.address.includes(':') ? 6 : 4
      if (receiver.address.includes(':') !== (family === 6)) continue
      const through = path === 'forward' && from.wire === OUTSIDE && receiver.wire === OUTSIDE
      const to = through ? { ...receiver, wire: OTHER_OUTSIDE } : receiver
      const bridged = path === 'forward' && from.wire.port !== null && from.wire.device === to.wire.device
      // Without br_netfilter nobody sees what stays on a bridge.
      if (bridged && options.bridgeFilter === false) continue
      const port = options.bridgeFilter === false ? null : from.wire.port
      for (const [at, content] of (many ? MANY : FEW)[family].entries())
        questions.push({
          family,
          path,
          from: { device: from.wire.device, port },
          to: to.wire,
          src: from.address,
          dst: to.address,
          content,
          mac: at % 5 === 4 ? BAD_MAC : GOOD_MAC,
          hopLimit: hopLimit(content, path, bridged, at),
          translated: from.address === to.address && at % 2 === 0,
        })
    }
  return questions
}

/** What is said on the link starts with 255; a router takes one off. Sometimes somebody pretends to be near. */
function hopLimit(
  { protocol, icmpType = 0 }: Content,
  path: Question['path'],
  bridged: boolean,
  at: number,
): number {
  const start = protocol === 58 && icmpType >= 130 && at % 4 !== 3 ? 255 : 64
  return path === 'forward' && !bridged ? start - 1 : start
}
