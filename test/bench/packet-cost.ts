import { toolName } from '../../src/kernel/backend.ts'
import type { LabPod, PodKind } from '../../src/lab/pod.ts'
import { type BenchWorld, endpointValue, localAddress, localKey } from './bench-world.ts'
import { atMost, type Figure } from './figure.ts'
import { flood, type Way } from './flood.ts'
import type { Bench, Ground } from './ground.ts'
import { kernelPicture } from './kernel-copy.ts'
import { Side } from './side.ts'
import { treeAlone, worstAddress } from './worst-address.ts'

/** The worlds differ in their first two bytes only, so the trees are alike. */
const ROUTED = { name: 'p-routed', local: 1000, cluster: 0, policies: 0, range: '10.72' }
const BRIDGED = { ...ROUTED, name: 'p-bridge', range: '10.74', prefix: 'veth' }

/** The last two bytes of a client's and a server's address. */
type Ends = readonly [string, string]

/** Two pods of one node, at the same places of every node's range. */
interface Pair {
  readonly client: LabPod
  readonly server: LabPod
}

/**
 * B10: nanoseconds that a packet costs more. Dispatch: the tree to the worst of 1 000 endpoints behind FORWARD
 * and nothing else, over no rules. Established: all that the agent writes, over connection tracking alone. That is
 * what any stateful firewall has: one rule in FORWARD that accepts what is established. What tracking costs without
 * any rule (an nft chain that no hook calls switches it on) is told too. All ways in turn, in one process.
 */
export const packetCost: Bench = async (ground, say) => {
  const { lab, processes, backend } = ground
  const open = (world: BenchWorld, port: number) =>
    Side.open(processes, lab, world, { node: world.name, floorNode: 'p-bare', port })
  const sides: Side[] = []
  try {
    say('B10 agents with 1 000 local endpoints, routed and on a bridge')
    const routed = await open(ROUTED, 2679)
    const bridged = await open(BRIDGED, 2779)
    sides.push(routed, bridged)
    await routed.agent()
    const tables = (await kernelPicture(routed.node)).tables[4]
    const worst = worstAddress(tables, 'podf-to')
    const [server, client] = [suffix(worst.address), suffix(worstAddress(tables, 'podf-from').address)]
    const ends: Ends = [client === server ? '.0.1' : client, server]
    const near: Ends = [client, beside(client)]

    const pairs = new Map<string, Pair>()
    const add = async (way: string, node: string, kind: PodKind, range: string, ends: Ends) =>
      pairs.set(way, await addPair(ground, { way, node, kind, range, ends }))
    await add('bare', 'p-bare', 'routed', '10.70', ends)
    await add('hook', 'p-hook', 'routed', '10.76', ends)
    await add('track', 'p-track', 'routed', '10.71', ends)
    await add('routed', 'p-routed', 'routed', '10.72', ends)
    await add('tree', 'p-tree', 'routed', '10.73', ends)
    await add('bridge', 'p-bridge', 'bridge', '10.74', near)
    await add('bridge-track', 'p-track', 'bridge', '10.75', near)
    await routed.time(changes(ROUTED, pairs.get('routed')!, ends))
    await bridged.write(changes(BRIDGED, pairs.get('bridge')!, near))
    await bridged.start({ flags: ['--bridges', 'cbr0'] }).enforced(bridged.revision)

    const tree = treeAlone(tables, 'podf-to').replaceAll('10.72.', '10.73.')
    await lab.node('p-tree').run([toolName(backend, 4, 'restore'), '-w'], { input: tree })
    await lab.node('p-hook').run(['nft', 'table ip bench { chain never { ct state invalid counter; }; }'])
    const accept = ['-A', 'FORWARD', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT']
    await lab.node('p-track').iptables(4, accept)
    say('B10 packets')
    return await measure(ground, pairs, worst.rules)
  } finally {
    for (const side of sides) await side.close()
    await lab.removePods(lab.pods.filter(pod => pod.node.name.startsWith('p-')))
  }
}

async function measure(ground: Ground, pairs: ReadonlyMap<string, Pair>, rules: number): Promise<Figure[]> {
  const { backend, processes } = ground
  const way = (name: string): Way => {
    const { client, server } = pairs.get(name)!
    return { name, from: client, to: server, source: client.address4!, address: server.address4! }
  }
  const ways = (...names: string[]) => names.map(way)
  const plain = await flood(processes, ways('bare', 'tree'), 'plain')
  const old = await flood(processes, ways('bare', 'hook', 'track', 'routed'), 'established')
  const onBridge = await flood(processes, ways('bridge-track', 'bridge'), 'established')
  const fresh = await flood(processes, ways('track', 'routed'), 'new')
  const figure = (
    what: string,
    [over, on]: readonly [number, number],
    most: number | null,
    more: Record<string, number> = {},
  ): Figure => {
    const numbers = { added_ns: on - over, total_ns: on, floor_ns: over, ratio: on / over, ...more }
    const targets = most === null ? [] : [atMost(numbers.added_ns, most, `<= ${most} ns added`)]
    return { bench: 'B10', what, world: '1000', backend, n: 400 * 300, numbers, targets }
  }
  const from = (map: Map<string, number>, floor: string, name: string) =>
    [map.get(floor)!, map.get(name)!] as const
  const nft = backend === 'nft'
  return [
    figure('dispatch to the worst of 1 000, over no rules', from(plain, 'bare', 'tree'), nft ? 400 : 200, {
      rules,
    }),
    figure(
      'established and routed, source check included, over tracking alone',
      from(old, 'track', 'routed'),
      nft ? 450 : 300,
      {
        tracking_over_none_ns: old.get('hook')! - old.get('bare')!,
        over_tracking_without_rule_ns: old.get('routed')! - old.get('hook')!,
      },
    ),
    figure(
      'established on a bridge, source check included, over tracking alone',
      from(onBridge, 'bridge-track', 'bridge'),
      null,
    ),
    figure('a new flow, routed, both ends local, over tracking alone', from(fresh, 'track', 'routed'), null),
  ]
}

function suffix(address: string): string {
  return address.replace(/^\d+\.\d+/, '')
}

/** Another address of the same /24, for pods of one bridge. */
function beside(end: string): string {
  const [, third, last] = end.split('.').map(Number)
  return `.${third}.${last! < 128 ? last! + 1 : last! - 1}`
}

async function addPair(
  { lab }: Ground,
  pair: {
    readonly way: string
    readonly node: string
    readonly kind: PodKind
    readonly range: string
    readonly ends: Ends
  },
): Promise<Pair> {
  const { way, node, kind, range, ends } = pair
  const [client, server] = await lab.addPods(
    ends.map((end, index) => ({
      name: `way-${way}-${index}`,
      node: lab.node(node),
      kind,
      address4: `${range}${end}`,
      address6: null,
    })),
  )
  return { client: client!, server: server! }
}

/** The real pods in the place of the two endpoints that have their addresses. */
function changes(world: BenchWorld, pair: Pair, ends: Ends) {
  return [pair.client, pair.server].map((pod, at) => {
    const index = Array.from({ length: world.local }, (_, index) => index).find(
      index => suffix(localAddress(world, index)) === ends[at],
    )
    const key = localKey(pod.node.name, `w${index}`)
    return { key, value: endpointValue(pod.interface, pod.address4!, {}) }
  })
}
