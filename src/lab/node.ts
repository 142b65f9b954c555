import { mkdirSync } from 'node:fs'
import { type Backend, toolName } from '../kernel/backend.ts'
import type { Ended } from '../kernel/process.ts'
import type { Family } from '../model/values.ts'
import { alone, FABRIC, type NodeAddresses, nodeAddresses, onFabric } from './address-plan.ts'
import { type CommandOptions, type Commands, netSettings, type Step } from './commands.ts'
import type { Place } from './probe.ts'

/** The bridge that carries a node's bridged pods. */
export const POD_BRIDGE = 'cbr0'
const LAB_DIRECTORY = '/run/podfence-lab'

/** A node of the laboratory; what it names no address for, the plan does. */
export interface NodeRequest {
  readonly name: string
  /** Own ones may be of any range. */
  readonly addresses?: Partial<NodeAddresses>
}

/** A node: a network namespace with its own rules, lock, run and state directory, on the fabric. */
export interface LabNode extends Place, NodeAddresses {
  readonly name: string
  readonly number: number
  readonly backend: Backend
  readonly runDirectory: string
  /** For whatever a test keeps beside: logs, programs. */
  readonly stateDirectory: string
  /** What everything that touches rules here needs: the lock is otherwise shared between namespaces. */
  readonly env: Readonly<Record<string, string>>
  /** Runs a command here. Throws PodfenceError on a bad exit, unless `allowFailure`. */
  run(command: readonly string[], options?: CommandOptions): Promise<Ended>
  /** `iptables` (or `ip6tables`) of the node's backend; returns what it printed. */
  iptables(family: Family, args: readonly string[]): Promise<string>
  /** Takes the node off the fabric, or puts it back. */
  link(up: boolean): Promise<void>
  /** Loses every packet between this node and the sandbox's own namespace, in silence, until healed. */
  cutFromStore(cut: boolean): Promise<void>
  /** Delays what the node receives from the fabric. False where the kernel or tc cannot do it. */
  delay(ms: number): Promise<boolean>
}

/** A node as the laboratory plans it, before it exists. */
export function labNode(
  { name, addresses: given }: NodeRequest,
  number: number,
  backend: Backend,
  commands: Commands,
): LabNode {
  const directory = `${LAB_DIRECTORY}/${name}`
  const env = { XTABLES_LOCKFILE: `${directory}/xtables.lock` }
  const addresses = { ...nodeAddresses(number), ...given }
  const port = fabricPort(number)
  const run: LabNode['run'] = (command, options = {}) =>
    commands.runIn(name, command, { ...options, env: { ...env, ...options.env } })

  return {
    ...addresses,
    name,
    namespace: name,
    number,
    backend,
    runDirectory: `${directory}/run`,
    stateDirectory: `${directory}/state`,
    env,
    run,
    async iptables(family, args) {
      return (await run([toolName(backend, family, ''), '-w', ...args])).stdout
    },
    link: up => commands.script([{ namespace: null, ip: [`link set ${port} ${up ? 'up' : 'down'}`] }]),
    async cutFromStore(cut) {
      // A neighbour that nobody is: packets are sent and nobody takes them, as with a dead switch.
      const entry = (address: string, device: string) =>
        cut
          ? `neigh replace ${address} lladdr 02:00:00:00:00:00 nud permanent dev ${device}`
          : `neigh del ${address} dev ${device}`
      await commands.script([
        {
          namespace: name,
          ip: [entry(FABRIC.address4, 'eth0'), entry(FABRIC.address6, 'eth0')],
        },
        {
          namespace: null,
          ip: [entry(addresses.address4, FABRIC.bridge), entry(addresses.address6, FABRIC.bridge)],
        },
      ])
    },
    async delay(ms) {
      const qdisc =
        ms === 0
          ? ['del', 'dev', port, 'root']
          : ['replace', 'dev', port, 'root', 'netem', 'delay', `${ms}ms`]
      return (await commands.run(['tc', 'qdisc', ...qdisc], { allowFailure: true })).code === 0
    },
  }
}

/** The fabric's end of a node's link. */
export function fabricPort(number: number): string {
  return `node${number}`
}

/** The fabric in the sandbox's own namespace, where nothing is filtered and a store can listen at once. */
export function fabricSteps(): Step[] {
  const { bridge, address4, address6 } = FABRIC
  return [
    {
      namespace: null,
      ip: [
        `link add ${bridge} type bridge forward_delay 0 mcast_snooping 0`,
        `addr add ${address4}/24 dev ${bridge}`,
        `addr add ${address6}/64 dev ${bridge} nodad`,
        `link set ${bridge} up`,
      ],
    },
  ]
}

/** Joins a namespace to the fabric: `eth0` there, with these addresses. */
export function joinSteps(namespace: string, port: string, address4: string, address6: string): Step[] {
  const length = (address: string, length: number) =>
    onFabric(address) ? `${address}/${length}` : alone(address)
  return [
    {
      namespace: null,
      ip: [
        `link add ${port} type veth peer name eth0 netns ${namespace}`,
        `link set ${port} master ${FABRIC.bridge} up`,
        ...strangerRoutes([address4, address6], FABRIC.bridge),
      ],
    },
    {
      namespace,
      ip: [
        'link set lo up',
        'link set eth0 up',
        `addr add ${length(address4, 24)} dev eth0`,
        `addr add ${length(address6, 64)} dev eth0 nodad`,
        `route add 0.0.0.0/0 via ${FABRIC.address4} dev eth0 onlink`,
        `route add ::/0 via ${FABRIC.address6} dev eth0 onlink`,
      ],
    },
  ]
}

/** How addresses that are not of the fabric's range are reached on it: they are asked for by themselves. */
export function strangerRoutes(addresses: readonly string[], device = 'eth0'): string[] {
  return addresses
    .filter(address => !onFabric(address))
    .map(address => `route add ${alone(address)} dev ${device}`)
}

/** Everything a node needs but its pods. `rpFilter` is the kernel's own reverse path check for new interfaces. */
export function nodeSteps(node: LabNode, rpFilter: 0 | 1 | 2): Step[] {
  mkdirSync(node.runDirectory, { recursive: true })
  mkdirSync(node.stateDirectory, { recursive: true })
  return [
    { namespace: null, ip: [`netns add ${node.namespace}`] },
    netSettings(node.namespace, {
      'ipv4/ip_forward': 1,
      'ipv6/conf/all/forwarding': 1,
      'ipv4/conf/default/rp_filter': rpFilter,
      // Duplicate address detection would keep an address unusable for its first second.
      'ipv6/conf/all/accept_dad': 0,
      'ipv6/conf/default/accept_dad': 0,
      'bridge/bridge-nf-call-iptables': 1,
      'bridge/bridge-nf-call-ip6tables': 1,
    }),
    ...joinSteps(node.namespace, fabricPort(node.number), node.address4, node.address6),
    {
      namespace: node.namespace,
      ip: [
        `link add ${POD_BRIDGE} type bridge forward_delay 0 mcast_snooping 0`,
        `link set ${POD_BRIDGE} address ${bridgeMac(node)} addrgenmode none`,
        `addr add ${node.gateway4}/24 dev ${POD_BRIDGE}`,
        `addr add ${node.gateway6}/64 dev ${POD_BRIDGE} nodad`,
        `link set ${POD_BRIDGE} up`,
        `addr add fe80::1/64 dev ${POD_BRIDGE} nodad`,
      ],
    },
  ]
}

/** The bridge's hardware address, fixed so that it does not follow its first port's. */
export function bridgeMac(node: Pick<LabNode, 'number'>): string {
  return `02:00:00:66:00:${node.number.toString(16).padStart(2, '0')}`
}

/** How a namespace on the fabric reaches the pods of a node. */
export function routesTo(node: NodeAddresses): string[] {
  return [
    ...strangerRoutes([node.address4, node.address6]),
    `route add ${node.routed4} via ${node.address4}`,
    `route add ${node.bridge4} via ${node.address4}`,
    `route add ${node.routed6} via ${node.address6}`,
    `route add ${node.bridge6} via ${node.address6}`,
  ]
}
