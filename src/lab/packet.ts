import { PodfenceError } from '../errors.ts'
import { type Address, parseAddress } from '../model/cidr.ts'

/** IP packets by hand, whole and with right checksums, for what no socket would send. */

export interface IpHeader {
  readonly source: string
  readonly destination: string
  /** TTL or hop limit; default 64. */
  readonly hops?: number
}

const TCP = 6
const UDP = 17
const ICMP = 1
const ICMPV6 = 58
const SCTP = 132

/** UDP with any source address and port. */
export function udpPacket(
  header: IpHeader & { readonly sourcePort: number; readonly destinationPort: number },
  data: Uint8Array,
): Uint8Array {
  const segment = Buffer.alloc(8 + data.length)
  segment.writeUInt16BE(header.sourcePort, 0)
  segment.writeUInt16BE(header.destinationPort, 2)
  segment.writeUInt16BE(segment.length, 4)
  segment.set(data, 8)
  return ipPacket(header, UDP, segment, 6)
}

export type TcpFlag = 'syn' | 'ack' | 'fin' | 'rst' | 'psh'
const FLAG_BITS: Readonly<Record<TcpFlag, number>> = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 }

/** One TCP segment. `sequence` is a good mark by which to know it again. */
export function tcpPacket(
  header: IpHeader & {
    readonly sourcePort: number
    readonly destinationPort: number
    readonly sequence: number
    readonly acknowledge?: number
    readonly flags: readonly TcpFlag[]
  },
  data: Uint8Array = new Uint8Array(),
): Uint8Array {
  const segment = Buffer.alloc(20 + data.length)
  segment.writeUInt16BE(header.sourcePort, 0)
  segment.writeUInt16BE(header.destinationPort, 2)
  segment.writeUInt32BE(header.sequence, 4)
  segment.writeUInt32BE(header.acknowledge ?? 0, 8)
  segment.writeUInt8(5 << 4, 12)
  segment.writeUInt8(
    header.flags.reduce((bits, flag) => bits | FLAG_BITS[flag], 0),
    13,
  )
  segment.writeUInt16BE(64240, 14)
  segment.set(data, 20)
  return ipPacket(header, TCP, segment, 16)
}

/** ICMP or ICMPv6 (by the addresses' family) of any type and code; `body` follows the checksum. */
export function icmpPacket(
  header: IpHeader & { readonly type: number; readonly code: number },
  body: Uint8Array,
): Uint8Array {
  const segment = Buffer.alloc(4 + body.length)
  segment.writeUInt8(header.type, 0)
  segment.writeUInt8(header.code, 1)
  segment.set(body, 4)
  const six = addressOf(header.source).family === 6
  return ipPacket(header, six ? ICMPV6 : ICMP, segment, 2)
}

/** An SCTP INIT chunk: what opens an association, where kernel and Node have no SCTP sockets. */
export function sctpInitPacket(
  header: IpHeader & { readonly sourcePort: number; readonly destinationPort: number; readonly tag: number },
): Uint8Array {
  const segment = Buffer.alloc(32)
  segment.writeUInt16BE(header.sourcePort, 0)
  segment.writeUInt16BE(header.destinationPort, 2)
  segment.writeUInt8(1, 12)
  segment.writeUInt16BE(20, 14)
  segment.writeUInt32BE(header.tag, 16)
  segment.writeUInt32BE(65535, 20)
  segment.writeUInt16BE(1, 24)
  segment.writeUInt16BE(1, 26)
  segment.writeUInt32BE(header.tag, 28)
  segment.writeUInt32LE(crc32c(segment), 8)
  return ipPacket(header, SCTP, segment, null)
}

/** The IP header before a payload of any protocol; `checksumAt` is where the payload's Internet checksum goes. */
export function ipPacket(
  header: IpHeader,
  protocol: number,
  payload: Uint8Array,
  checksumAt: number | null,
): Uint8Array {
  const source = addressOf(header.source)
  const destination = addressOf(header.destination)
  if (source.family !== destination.family)
    throw new PodfenceError('USAGE', `${header.source} and ${header.destination} are of different families.`)
  const ends = Buffer.concat([addressBytes(source), addressBytes(destination)])
  const body = Buffer.from(payload)
  if (checksumAt !== null) {
    body.writeUInt16BE(0, checksumAt)
    // ICMP alone is summed without the addresses.
    const pseudo = protocol === ICMP ? Buffer.alloc(0) : pseudoHeader(ends, protocol, body.length)
    const sum = internetChecksum(Buffer.concat([pseudo, body]))
    body.writeUInt16BE(protocol === UDP && sum === 0 ? 0xffff : sum, checksumAt)
  }
  if (source.family === 6) {
    const head = Buffer.alloc(8)
    head.writeUInt8(0x60, 0)
    head.writeUInt16BE(body.length, 4)
    head.writeUInt8(protocol, 6)
    head.writeUInt8(header.hops ?? 64, 7)
    return Buffer.concat([head, ends, body])
  }
  const head = Buffer.alloc(12)
  head.writeUInt8(0x45, 0)
  head.writeUInt16BE(20 + body.length, 2)
  head.writeUInt8(header.hops ?? 64, 8)
  head.writeUInt8(protocol, 9)
  head.writeUInt16BE(internetChecksum(Buffer.concat([head, ends])), 10)
  return Buffer.concat([head, ends, body])
}

function addressOf(text: string): Address {
  const address = parseAddress(text)
  if (address === null) throw new PodfenceError('USAGE', `${text} is no IP address.`)
  return address
}

/** An address as the 4 or 16 bytes of a packet. */
export function addressBytes({ family, value }: Address): Buffer {
  return Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex')
}

/** One form for both families: the words are the same ones, in an order that a sum does not see. */
function pseudoHeader(ends: Buffer, protocol: number, length: number): Buffer {
  const tail = Buffer.alloc(8)
  tail.writeUInt32BE(length, 0)
  tail.writeUInt8(protocol, 7)
  return Buffer.concat([ends, tail])
}

/** RFC 1071. */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += bytes[at]! * 256 + (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

/** CRC32c, as SCTP wants it (RFC 9260): polynomial 0x1EDC6F41, reflected. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}
