import { formatAddress, formatCidr, parseAddress, parseCidr } from '../../model/cidr.ts'
import type { Family } from '../../model/values.ts'
import { icmpName, parseIcmp } from './icmp-names.ts'
import { PORTED, protocolName, protocolNumber } from './protocol.ts'

/** Types whose elements can be brought into the one form that `ipset save` prints. */
export const ELEMENT_TYPES: ReadonlySet<string> = new Set([
  'hash:ip',
  'hash:net',
  'hash:ip,port',
  'hash:ip,port,ip',
])

/**
 * An element as `ipset save` prints it, so that wanted and present ones can be compared as text. Null when
 * it is no single element of that type and family. The text of an unknown type is returned as it is.
 */
export function canonicalElement(type: string, family: Family, text: string): string | null {
  if (!ELEMENT_TYPES.has(type)) return text
  const parts = text.split(',')
  const kinds = type.slice('hash:'.length).split(',')
  if (parts.length !== kinds.length) return null
  const canonical: string[] = []
  for (const [at, kind] of kinds.entries()) {
    const part =
      kind === 'port'
        ? canonicalPort(parts[at]!, family)
        : kind === 'net'
          ? canonicalNet(parts[at]!, family)
          : canonicalIp(parts[at]!, family)
    if (part === null) return null
    canonical.push(part)
  }
  return canonical.join(',')
}

function canonicalIp(text: string, family: Family): string | null {
  const single = family === 4 ? '/32' : '/128'
  const address = parseAddress(text.endsWith(single) ? text.slice(0, -single.length) : text)
  return address?.family === family ? formatAddress(address.value, family) : null
}

/** hash:net has no /0, and prints a single address bare. */
function canonicalNet(text: string, family: Family): string | null {
  const cidr = parseCidr(text)
  if (cidr === null || cidr.family !== family || cidr.length === 0) return null
  return cidr.length === (family === 4 ? 32 : 128) ? formatAddress(cidr.base, family) : formatCidr(cidr)
}

/** `tcp:80`, `80` (tcp), `icmp:8/0`, `gre:0`. */
function canonicalPort(text: string, family: Family): string | null {
  const colon = text.indexOf(':')
  const protocol = colon < 0 ? 6 : protocolNumber(text.slice(0, colon))
  const value = text.slice(colon + 1)
  if (protocol === null || protocol === 0) return null
  if (protocol === 1 || protocol === 58) {
    const icmp = (protocol === 1) === (family === 4) ? parseIcmp(value, family) : null
    return icmp === null ? null : printPort(protocol, (icmp[0] << 8) | icmp[1], family)
  }
  if (!/^\d{1,5}$/.test(value)) return null
  const port = Number(value)
  return port <= (PORTED.has(protocol) ? 65535 : 0) ? printPort(protocol, port, family) : null
}

/** The port part of an element; `port` is `type << 8 | code` for ICMP, 0 for what has no ports. */
export function printPort(protocol: number, port: number, family: Family): string {
  const value = protocol === 1 || protocol === 58 ? icmpName(port >> 8, port & 255, family) : port
  return `${protocolName(protocol)}:${value}`
}
