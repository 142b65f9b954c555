import { ICMPV6, TCP, UDP } from '../model/protocol.ts'
import type { Packet } from './outcome.ts'

/** Packets that the packet path treats apart, whatever policy says. */

const ROUTER_SOLICITATION = 133
const ROUTER_ADVERTISEMENT = 134
const NEIGHBOUR_SOLICITATION = 135
const NEIGHBOUR_ADVERTISEMENT = 136
const REDIRECT = 137
const LISTENER_REPORT_V2 = 143

const NEIGHBOUR_TYPES: ReadonlySet<number> = new Set([
  ROUTER_SOLICITATION,
  NEIGHBOUR_SOLICITATION,
  NEIGHBOUR_ADVERTISEMENT,
])
/** Multicast listener discovery (130 to 132 and 143) and the above. */
const LINK_TYPES: ReadonlySet<number> = new Set([130, 131, 132, ...NEIGHBOUR_TYPES, LISTENER_REPORT_V2])

function icmp6Type(packet: Packet): number {
  return packet.family === 6 && packet.protocol === ICMPV6 ? (packet.icmpType ?? -1) : -1
}

/** What a workload may say before it has an address, or with that of its link; only a neighbour's packet has hop limit 255. */
export function isLinkTalk(packet: Packet): boolean {
  const type = icmp6Type(packet)
  return type === LISTENER_REPORT_V2 || (NEIGHBOUR_TYPES.has(type) && isNear(packet))
}

/**
 * What one workload must hear of another on the same bridge; a hop limit of 255 where packets are forwarded
 * means that no router was between. Solicitations of routers and reports to them are for the node alone.
 */
export function isNeighbourDiscovery(packet: Packet): boolean {
  const type = icmp6Type(packet)
  return (type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT) && isNear(packet)
}

function isNear({ hopLimit = 255 }: Packet): boolean {
  return hopLimit === 255
}

/** What a node and its workloads must exchange for IPv6 to work at all. */
export function isLinkUpkeep(packet: Packet): boolean {
  return LINK_TYPES.has(icmp6Type(packet))
}

/** What only a router may say. */
export function isRouterMessage(packet: Packet): boolean {
  const type = icmp6Type(packet)
  return type === ROUTER_ADVERTISEMENT || type === REDIRECT
}

/** fe80::/10, and the unspecified address. */
export function isLinkSource({ family, source }: Packet): boolean {
  return family === 6 && (source === '::' || /^fe[89ab][0-9a-f]:/.test(source))
}

export function isDhcp({ family, protocol, sourcePort, destinationPort }: Packet): boolean {
  if (protocol !== UDP) return false
  return family === 4
    ? sourcePort === 68 && destinationPort === 67
    : sourcePort === 546 && destinationPort === 547
}

/** A client that has no address yet. */
export function isFirstDhcp(packet: Packet): boolean {
  const { family, source, destination } = packet
  return isDhcp(packet) && family === 4 && source === '0.0.0.0' && destination === '255.255.255.255'
}

export function isDns({ protocol, destinationPort }: Packet): boolean {
  return (protocol === UDP || protocol === TCP) && destinationPort === 53
}
