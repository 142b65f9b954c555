import type { Packet as KernelPacket } from '../../../src/kernel/fake/packet.ts'
import type { Family } from '../../../src/model/values.ts'
import type { LocalEndpoint, Packet, Verdict } from '../../../src/policy/outcome.ts'
import { judge } from '../../../src/policy/verdict.ts'
import type { PolicyView } from '../../../src/policy/view.ts'
import type { RenderOptions } from '../../../src/render/options.ts'

/** A cable of the node: the device by which the node routes, and the port where that device is a bridge. */
export interface Wire {
  readonly device: string
  readonly port: string | null
}

/**
 * Where an endpoint really hangs: one with the bridge's name is at some port that the model does not know. One of
 * an unknown interface is anywhere: some are routed, some on the first bridge.
 */
export function wireOf({ id, interface: name }: LocalEndpoint, options: RenderOptions): Wire {
  const workload = id.split('/')[2]!
  if (name === null) {
    const bridge = /[02468]$/.test(workload) ? options.bridges[0] : undefined
    return bridge === undefined
      ? { device: `cali-${workload}`, port: null }
      : { device: bridge, port: `x${workload}` }
  }
  if (options.bridges.includes(name)) return { device: name, port: `x${workload}` }
  if (options.interfacePrefixes.some(prefix => name.startsWith(prefix))) return { device: name, port: null }
  return { device: options.bridges[name === 'veth2' ? 1 : 0] ?? options.bridges[0] ?? 'br-x', port: name }
}

/** What a packet is beside where it comes from and goes to. */
export interface Content {
  readonly protocol: number
  readonly sport?: number
  readonly dport?: number
  readonly icmpType?: number
  readonly icmpCode?: number
}

/** A packet on its way through the node. */
export interface Question {
  readonly family: Family
  readonly path: Packet['path']
  readonly from: Wire
  readonly to: Wire
  readonly src: string
  readonly dst: string
  readonly content: Content
  readonly mac: string
  /** As FORWARD sees it. */
  readonly hopLimit: number
  /** It was sent to a service address. */
  readonly translated: boolean
}

const PATHS = { forward: 'forward', 'to-node': 'input', 'from-node': 'output' } as const

export function kernelPacket(
  question: Question,
  ctstate: KernelPacket['ctstate'],
  mark: number,
): KernelPacket {
  const { family, path, from, to, src, dst, content, mac, hopLimit, translated } = question
  const bridged = path === 'forward' && from.port !== null && from.device === to.device
  return {
    family,
    path: PATHS[path],
    ...(path === 'from-node' ? {} : { in: from.device }),
    ...(path === 'to-node' ? {} : { out: to.device }),
    ...(path === 'from-node' || from.port === null ? {} : { physdevIn: from.port }),
    ...(bridged && to.port !== null ? { physdevOut: to.port } : {}),
    src,
    dst,
    ...content,
    mac,
    hopLimit,
    mark,
    ctstate: ctstate === 'NEW' && isUntracked(question) ? 'UNTRACKED' : ctstate,
    translated,
  }
}

/** Connection tracking leaves alone what the hosts of a link tell each other. */
function isUntracked({ family, content: { protocol, icmpType = -1 } }: Question): boolean {
  return family === 6 && protocol === 58 && ((icmpType >= 130 && icmpType <= 136) || icmpType === 143)
}

/** No owner's id: the side is a workload's, but of none that is known. */
const NOBODY = 'nobody'

/** Passes whatever the sender's policy says. */
const EXEMPT: ReadonlySet<string> = new Set(['neighbour discovery', 'DHCP to the node', 'DNS to the node'])

/**
 * What should become of a new connection's first packet: the engine's verdict, once it is settled who the
 * sides are. Where nothing tells the owners of an address apart, all of them must allow.
 */
export function shouldPass(question: Question, view: PolicyView, options: RenderOptions): boolean {
  const { path, from, to, src, dst, mac } = question
  const comes = path !== 'from-node' && isGate(from.device, options)
  const goes = path === 'from-node' || (path === 'forward' && isGate(to.device, options))
  const verdicts = new Map<string, Verdict>()
  const verdict = (sender: string | null, receiver: string | null, sent = comes) => {
    const key = `${sender} ${receiver} ${sent}`
    let found = verdicts.get(key)
    if (found === undefined) {
      found = judge(view, policyPacket(question, sender, receiver), {
        nodeToWorkload: options.nodeToWorkload,
        workloadToNode: options.workloadToNode,
        ...(path === 'from-node' ? {} : { from: sent ? 'workload' : 'elsewhere' }),
        ...(path === 'to-node' ? {} : { to: goes ? 'workload' : 'elsewhere' }),
      })
      verdicts.set(key, found)
    }
    return found
  }
  if (path === 'from-node' && options.nodeToWorkload === 'allow') return verdict(null, null).allow
  const senders = comes ? sendersOf(question, view.localByAddress(src), options) : []
  const receivers = goes ? receiversOf(question, view.localByAddress(dst), options) : []
  const senderIds = idsOf(comes, senders)
  const receiverIds = idsOf(goes, receivers)
  const first = verdict(senderIds[0]!, receiverIds[0]!)
  if (EXEMPT.has(first.by)) return first.allow
  if ([...senders, ...receivers].some(each => isClosedHere(each, options))) return false
  const otherMac = senders.some(each => each.mac !== null && each.mac !== mac && isRouted(each, options))
  if (otherMac || (comes && isDisputed(question, view.localByAddress(src), options))) return false
  if (senderIds.some(sender => verdict(sender, receiverIds[0]!).egress === false)) return false
  return receiverIds.every(receiver => {
    const endpoint = receivers.find(({ id }) => id === receiver)
    // Of an unknown interface it is enough that the source check let it in by a workload's.
    const here = endpoint !== undefined && (endpoint.interface === null || isAt(endpoint, from, options))
    const itself = here && comes && owns(endpoint, src)
    // Nobody knows at which port it is, so only a service tells its own packet from a neighbour's.
    const blind = itself && isPortUnknown(endpoint, options) && !question.translated
    if (blind) return verdict(null, receiver, false).ingress !== false
    return verdict(itself ? receiver : senderIds[0]!, receiver).ingress !== false
  })
}

/** null: not asked, or whoever it is. */
function idsOf(asked: boolean, owners: readonly LocalEndpoint[]): (string | null)[] {
  if (!asked) return [null]
  return owners.length === 0 ? [NOBODY] : owners.map(({ id }) => id)
}

/** Is it certain that this sender has not the address it uses? */
export function isSpoofed({ from, src }: Question, view: PolicyView, options: RenderOptions): boolean {
  const owners = view.localByAddress(src)
  return isGate(from.device, options) && !owners.some(each => isAt(each, from, options))
}

/** May anyone at the wire say this with an address of the link or with none? */
export function isLinkTalk({ src, content: { protocol, icmpType = -1, dport } }: Question): boolean {
  if (src === '0.0.0.0') return protocol === 17 && dport === 67
  if (src !== '::' && src !== 'fe80::5') return false
  return protocol === 58 ? [133, 135, 136, 143].includes(icmpType) : protocol === 17 && dport === 547
}

export function isGate(device: string, { bridges, interfacePrefixes }: RenderOptions): boolean {
  return bridges.includes(device) || interfacePrefixes.some(prefix => device.startsWith(prefix))
}

function isRouted({ interface: name }: LocalEndpoint, options: RenderOptions): boolean {
  return name !== null && !options.bridges.includes(name) && isGate(name, options)
}

/** All that is known of it is its bridge, or not even that. */
function isPortUnknown({ interface: name }: LocalEndpoint, { bridges }: RenderOptions): boolean {
  return name === null || bridges.includes(name)
}

function owns({ addresses4, addresses6 }: LocalEndpoint, address: string): boolean {
  return addresses4.includes(address) || addresses6.includes(address)
}

/** The kernel cannot enforce on it, whatever policy says. */
function isClosedHere(endpoint: LocalEndpoint, options: RenderOptions): boolean {
  if (isRouted(endpoint, options)) return false
  return options.bridges.length === 0 ? endpoint.interface !== null : options.bridgeFilter === false
}

/** May this endpoint be at the other end of the wire? Where its bridge or its port is unknown, at any. */
function isAt(endpoint: LocalEndpoint, { device, port }: Wire, options: RenderOptions): boolean {
  const { interface: name } = endpoint
  // Of an unknown interface routes tell where the device is no bridge, and nothing tells of ports.
  if (name === null && !options.bridges.includes(device)) return wireOf(endpoint, options).device === device
  if (isClosedHere(endpoint, options)) return false
  if (name === null) return true
  if (!options.bridges.includes(device) || isRouted(endpoint, options) || options.bridges.includes(name))
    return name === device
  return name === port
}

/** The owners of the source address that the kernel would take the packet for. */
function sendersOf({ from }: Question, owners: readonly LocalEndpoint[], options: RenderOptions) {
  const here = owners.filter(each => isAt(each, from, options))
  if (!options.bridges.includes(from.device)) {
    const routed = here.filter(each => each.interface === from.device)
    if (routed.length > 0) return routed
    // Let in for one of them; which of them it is, nobody can tell.
    return here.length > 0 ? owners.filter(each => each.interface === null) : []
  }
  const atPort = here.filter(each => each.interface === from.port)
  return atPort.length > 0 ? atPort : here
}

/** Nothing tells owners at unknown ports apart, so all of them must allow, and one that is elsewhere does not. */
function isDisputed({ from }: Question, owners: readonly LocalEndpoint[], options: RenderOptions): boolean {
  const { bridges } = options
  const named = bridges.includes(from.device) ? from.port : from.device
  if (owners.some(each => each.interface === named)) return false
  return owners.some(each => {
    const { interface: name } = each
    return name !== null && (isClosedHere(each, options) || (bridges.includes(name) && name !== from.device))
  })
}

/**
 * Is it certain that this bridged endpoint is not behind this device, which is no bridge? Where its bridge is one of several,
 * only a prefix that none of them has tells a workload's interface from a bridge.
 */
function isElsewhere({ interface: name }: LocalEndpoint, device: string, options: RenderOptions): boolean {
  const { bridges, interfacePrefixes } = options
  if (name === null) return false
  if (bridges.length === 1 || bridges.includes(name)) return true
  return interfacePrefixes.some(
    prefix => device.startsWith(prefix) && !bridges.some(bridge => bridge.startsWith(prefix)),
  )
}

/** The owners of the destination address at the device by which the packet leaves. */
function receiversOf({ path, to }: Question, owners: readonly LocalEndpoint[], options: RenderOptions) {
  const routed = owners.filter(each => isRouted(each, options))
  const bridged = owners.filter(each => !isRouted(each, options))
  const here = routed.filter(each => each.interface === to.device)
  if (path === 'forward') {
    if (!options.bridges.includes(to.device))
      return here.length > 0 || bridged.some(each => isElsewhere(each, to.device, options)) ? here : bridged
    // One that is at another bridge for sure does not open this one.
    const other = bridged.some(
      ({ interface: name }) => name !== null && options.bridges.includes(name) && name !== to.device,
    )
    return other ? [] : bridged
  }
  // The node's own packet may still name the route of a service address, so its device counts only where it must.
  const devices = new Set(routed.map(each => each.interface))
  return devices.size === 0 || (devices.size === 1 && bridged.length === 0) ? owners : here
}

function policyPacket(question: Question, sender: string | null, receiver: string | null): Packet {
  const { family, path, src, dst, content, hopLimit } = question
  const { sport, dport, ...rest } = content
  return {
    family,
    path,
    source: src,
    destination: dst,
    ...rest,
    ...(sport === undefined ? {} : { sourcePort: sport }),
    ...(dport === undefined ? {} : { destinationPort: dport }),
    hopLimit,
    ...(sender === null ? {} : { sourceEndpoint: sender }),
    ...(receiver === null ? {} : { destinationEndpoint: receiver }),
  }
}
