import { type Cidr, parseCidr } from './cidr.ts'
import { decodeId } from './id.ts'
import { type JsonObject, member } from './json.ts'
import { parsePort } from './port.ts'
import { parseProtocol } from './protocol.ts'
import { Refusal, show } from './refusal.ts'
import { decodeSelector } from './selector-field.ts'
import type { PortRange, RuleMatch } from './values.ts'

function decodeProtocol(value: unknown, place: string): number {
  const protocol = parseProtocol(value)
  if (protocol !== null) return protocol
  throw new Refusal(
    place,
    `${show(value)} is not a protocol`,
    'Write tcp, udp, icmp, icmpv6, sctp, udplite, dccp (lower case) or a number 1 to 255.',
  )
}

function decodeNet(value: unknown, place: string): Cidr {
  const net = typeof value === 'string' ? parseCidr(value) : null
  if (net !== null) return net
  throw new Refusal(
    place,
    `${show(value)} is not a network`,
    'Write ADDRESS/LENGTH, such as 10.0.0.0/8 or fd00::/8, or a bare address.',
  )
}

function decodePorts(value: unknown, place: string): readonly PortRange[] {
  // An empty list could be read as "any port" or as "no port".
  if (!Array.isArray(value) || value.length === 0)
    throw new Refusal(place, 'ports are a list that is not empty', 'List the ports, or leave the field out.')
  return value.map((port, at) => {
    const range = parsePort(port)
    if (range !== null) return range
    throw new Refusal(
      `${place}[${at}]`,
      `${show(port)} is not a port`,
      'Write a number 0 to 65535, or a range "8000:8010" with the lower port first.',
    )
  })
}

function decodeIcmp(value: unknown, highest: number, place: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= highest) return value
  if (value === 255)
    throw new Refusal(
      place,
      'type 255 means any type to the kernel',
      'Name a type 0 to 254, or leave it out.',
    )
  throw new Refusal(place, `${show(value)} is out of range`, `Write a number 0 to ${highest}.`)
}

function decodeTag(value: unknown, place: string): string {
  return decodeId(value, 'a tag', place)
}

/** Each match field with its name in JSON and the decoder of its value. */
const FIELDS: {
  readonly [Field in keyof RuleMatch]-?: readonly [
    name: string,
    decode: (value: unknown, place: string) => NonNullable<RuleMatch[Field]>,
  ]
} = {
  protocol: ['protocol', decodeProtocol],
  srcTag: ['src_tag', decodeTag],
  dstTag: ['dst_tag', decodeTag],
  srcSelector: ['src_selector', decodeSelector],
  dstSelector: ['dst_selector', decodeSelector],
  srcNet: ['src_net', decodeNet],
  dstNet: ['dst_net', decodeNet],
  srcPorts: ['src_ports', decodePorts],
  dstPorts: ['dst_ports', decodePorts],
  icmpType: ['icmp_type', (value, place) => decodeIcmp(value, 254, place)],
  icmpCode: ['icmp_code', (value, place) => decodeIcmp(value, 255, place)],
}
const ENTRIES = Object.entries(FIELDS)

export const MATCH_FIELDS: readonly string[] = ENTRIES.map(([, [name]]) => name)

/** The match fields of a rule, those with `sign` before their name. Throws Refusal. */
export function decodeMatch(fields: JsonObject, sign: '' | '!', place: string): RuleMatch {
  const match: Record<string, unknown> = {}
  for (const [field, [name, decode]] of ENTRIES) {
    const value = member(fields, sign + name)
    if (value !== undefined) match[field] = decode(value, `${place}.${sign}${name}`)
  }
  return match
}
