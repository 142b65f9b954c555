import type { Ended } from '../kernel/process.ts'
import { hostInterface, inRange, podAddress, podMac, ROUTED_GATEWAY } from './address-plan.ts'
import type { CommandOptions, Commands, Step } from './commands.ts'
import { bridgeMac, type LabNode, POD_BRIDGE } from './node.ts'
import type { Place } from './probe.ts'

/** `routed`: a veth of its own to the node, /32 and /128. `bridge`: a veth that is a port of the node's bridge. */
export type PodKind = 'routed' | 'bridge'

export interface PodRequest {
  /** Also its namespace's name. */
  readonly name: string
  readonly node: LabNode
  readonly kind: PodKind
  /** Any address, also one of another node's range (it is routed here then); null: none of that family. */
  readonly address4?: string | null
  readonly address6?: string | null
  /** A bridge port that may send a packet back to where it came from. */
  readonly hairpin?: boolean
}

/** A pod: a namespace with `eth0`, and its other end in the node. */
export interface LabPod extends Place {
  readonly name: string
  readonly node: LabNode
  readonly kind: PodKind
  /** The node's end: `cali...` (routed) or `veth...` (a port of the bridge). */
  readonly interface: string
  readonly mac: string
  /** Hardware address of its gateway, for hand-made frames. */
  readonly gatewayMac: string
  readonly address4: string | null
  readonly address6: string | null
  readonly linkLocal: string
  readonly hairpin: boolean
  run(command: readonly string[], options?: CommandOptions): Promise<Ended>
}

/** A pod as planned; `number` makes its addresses where the request names none. */
export function labPod(request: PodRequest, number: number, commands: Commands): LabPod {
  const { name, node, kind } = request
  const mac = podMac(name)
  const own = (given: string | null | undefined, range: string) =>
    given === undefined ? podAddress(range, number) : given
  return {
    name,
    node,
    kind,
    namespace: name,
    interface: hostInterface(kind === 'routed' ? 'cali' : 'veth', name),
    mac,
    gatewayMac: kind === 'routed' ? ROUTED_GATEWAY.mac : bridgeMac(node),
    address4: own(request.address4, kind === 'routed' ? node.routed4 : node.bridge4),
    address6: own(request.address6, kind === 'routed' ? node.routed6 : node.bridge6),
    linkLocal: linkLocal(mac),
    hairpin: request.hairpin ?? false,
    run: (command, options) => commands.runIn(name, command, options),
  }
}

/** fe80::/64 and the hardware address with its middle and its seventh bit changed (RFC 4291, appendix A). */
function linkLocal(mac: string): string {
  const bytes = mac.split(':').map(text => Number.parseInt(text, 16))
  const id = [bytes[0]! ^ 2, bytes[1]!, bytes[2]!, 0xff, 0xfe, bytes[3]!, bytes[4]!, bytes[5]!]
  const groups = [0, 2, 4, 6].map(at => (id[at]! * 256 + id[at + 1]!).toString(16))
  return `fe80::${groups.join(':')}`
}

/** Creates pods of any nodes. */
export function podSteps(pods: readonly LabPod[]): Step[] {
  const steps: Step[] = [{ namespace: null, ip: pods.map(pod => `netns add ${pod.namespace}`) }]
  for (const node of new Set(pods.map(pod => pod.node))) {
    const own = pods.filter(pod => pod.node === node)
    steps.push({ namespace: node.namespace, ip: own.flatMap(nodeSide) })
    for (const pod of own) steps.push({ namespace: pod.namespace, ip: podSide(pod) })
  }
  return steps
}

function nodeSide(pod: LabPod): string[] {
  const port = pod.interface
  const made = [
    `link add ${port} type veth peer name eth0 address ${pod.mac} netns ${pod.namespace}`,
    `link set ${port} addrgenmode none`,
  ]
  if (pod.kind === 'bridge')
    return [
      ...made,
      `link set ${port} master ${POD_BRIDGE} up`,
      ...(pod.hairpin ? [`link set ${port} type bridge_slave hairpin on`] : []),
    ]
  return [
    ...made,
    `link set ${port} address ${ROUTED_GATEWAY.mac} up`,
    `addr add ${ROUTED_GATEWAY.address6}/64 dev ${port} nodad`,
    ...(pod.address4 === null ? [] : [`route replace ${pod.address4}/32 dev ${port}`]),
    ...(pod.address6 === null ? [] : [`route replace ${pod.address6}/128 dev ${port}`]),
  ]
}

function podSide(pod: LabPod): string[] {
  const up = ['link set lo up', 'link set eth0 addrgenmode none', 'link set eth0 up']
  const lines = [...up, `addr add ${pod.linkLocal}/64 dev eth0 nodad`]
  const { address4, address6, node } = pod
  if (pod.kind === 'bridge') {
    if (address4 !== null)
      lines.push(
        `addr add ${address4}/24 dev eth0`,
        `route add 0.0.0.0/0 via ${node.gateway4} dev eth0 onlink`,
      )
    if (address6 !== null)
      lines.push(
        `addr add ${address6}/64 dev eth0 nodad`,
        `route add ::/0 via ${node.gateway6} dev eth0 onlink`,
      )
    return lines
  }
  // The gateway's hardware address is known beforehand, so no first packet waits for an answer.
  const gateway = (address: string) =>
    `neigh replace ${address} lladdr ${ROUTED_GATEWAY.mac} nud permanent dev eth0`
  if (address4 !== null)
    lines.push(
      `addr add ${address4}/32 dev eth0`,
      gateway(ROUTED_GATEWAY.address4),
      `route add ${ROUTED_GATEWAY.address4} dev eth0 scope link`,
      `route add 0.0.0.0/0 via ${ROUTED_GATEWAY.address4} dev eth0`,
    )
  if (address6 !== null)
    lines.push(
      `addr add ${address6}/128 dev eth0 nodad`,
      gateway(ROUTED_GATEWAY.address6),
      `route add ::/0 via ${ROUTED_GATEWAY.address6} dev eth0`,
    )
  return lines
}

/** Removes pods. The node's end goes first: the namespace itself may live on while anything in it does. */
export function removalSteps(pods: readonly LabPod[]): Step[] {
  return [
    ...[...new Set(pods.map(pod => pod.node))].map(node => ({
      namespace: node.namespace,
      ip: pods.filter(pod => pod.node === node).map(pod => `link del ${pod.interface}`),
    })),
    { namespace: null, ip: pods.map(pod => `netns del ${pod.namespace}`) },
  ]
}

/** Routes that other namespaces on the fabric need to a pod whose address is not of its node's own range. */
export function foreignRoutes(pod: LabPod, verb: 'replace' | 'del'): string[] {
  const { node } = pod
  const [range4, range6] = pod.kind === 'routed' ? [node.routed4, node.routed6] : [node.bridge4, node.bridge6]
  const lines: string[] = []
  if (pod.address4 !== null && !inRange(pod.address4, range4))
    lines.push(`route ${verb} ${pod.address4}/32 via ${node.address4}`)
  if (pod.address6 !== null && !inRange(pod.address6, range6))
    lines.push(`route ${verb} ${pod.address6}/128 via ${node.address6}`)
  return lines
}
