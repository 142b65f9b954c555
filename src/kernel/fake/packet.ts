import { type Address, parseAddress } from '../../model/cidr.ts'
import type { Family } from '../../model/values.ts'
import { protocolNumber } from '../ipset/protocol.ts'

export type CtState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED'
export type TcpFlag = 'FIN' | 'SYN' | 'RST' | 'PSH' | 'ACK' | 'URG'
export type Path = 'forward' | 'input' | 'output'

/**
 * A packet as it stands at the filter hooks: after DNAT and before SNAT. What a rule asks of it and is
 * absent here makes the walk throw, so that no test passes by an oversight.
 */
export interface Packet {
  readonly family: Family
  readonly path: Path
  /** Absent for `output`. */
  readonly in?: string
  /** Absent for `input`. */
  readonly out?: string
  /** The bridge port it came in by, with br_netfilter; absent for routed packets. */
  readonly physdevIn?: string
  /** The bridge port it leaves by, when it stays on its bridge. */
  readonly physdevOut?: string
  readonly src: string
  readonly dst: string
  /** A name or a number. */
  readonly protocol: string | number
  readonly sport?: number
  readonly dport?: number
  readonly icmpType?: number
  readonly icmpCode?: number
  readonly tcpFlags?: readonly TcpFlag[]
  /** Source MAC; null: it came over something that is no Ethernet. */
  readonly mac?: string | null
  /** Hop limit or TTL, as the filter hooks see it. */
  readonly hopLimit?: number
  readonly mark?: number
  /** What conntrack says of it in the filter hooks. */
  readonly ctstate: CtState
  /** Its connection was sent to another address than the one it stands with here (conntrack's DNAT). */
  readonly translated?: boolean
  /** IPv4: true for a fragment other than the first. Default false. */
  readonly laterFragment?: boolean
}

export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

/** A packet as one chain of the kernel's own sees it. Interfaces that are not known there are empty. */
export interface Seen {
  readonly packet: Packet
  readonly family: Family
  readonly hook: Hook
  readonly in: string
  readonly out: string
  readonly physdevIn: string | null
  readonly physdevOut: string | null
  readonly src: Address
  readonly dst: Address
  readonly protocol: number
  readonly ctstate: CtState
  mark: number
}

/** Throws TypeError for a packet that cannot be. */
export function packetAddresses(packet: Packet): Pick<Seen, 'src' | 'dst' | 'protocol'> {
  const src = parseAddress(packet.src)
  const dst = parseAddress(packet.dst)
  if (src?.family !== packet.family || dst?.family !== packet.family)
    throw new TypeError(`no addresses of family ${packet.family}: ${packet.src} ${packet.dst}`)
  const protocol = protocolNumber(String(packet.protocol))
  if (protocol === null) throw new TypeError(`no protocol: ${packet.protocol}`)
  if ((packet.path !== 'output') !== (packet.in !== undefined)) throw new TypeError(`'in' on ${packet.path}`)
  if ((packet.path !== 'input') !== (packet.out !== undefined)) throw new TypeError(`'out' on ${packet.path}`)
  return { src, dst, protocol }
}

/** A field that a rule asks for. */
export function need<Field extends keyof Packet>(
  seen: Seen,
  field: Field,
): Exclude<Packet[Field], undefined> {
  const value = seen.packet[field]
  if (value === undefined) throw new TypeError(`a rule asks for '${field}', which the packet does not give`)
  return value as Exclude<Packet[Field], undefined>
}
