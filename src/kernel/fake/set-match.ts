import { type Address, cidrContains, formatAddress } from '../../model/cidr.ts'
import { printPort } from '../ipset/element.ts'
import { PORTED } from '../ipset/protocol.ts'
import { need, type Seen } from './packet.ts'
import type { FakeSet } from './set-store.ts'

type Direction = 'src' | 'dst'

/** Whether a packet is in a set, as `-m set --match-set NAME src,dst,...` asks without `!`. */
export function setMatches(set: FakeSet, seen: Seen, directions: readonly Direction[]): boolean {
  const kinds = set.type.slice('hash:'.length).split(',')
  // The kernel answers no, rather than refuse the rule, when too few directions are named.
  if (directions.length < kinds.length || set.family !== seen.family) return false
  if (set.type === 'hash:net') return netMatches(set, directions[0] === 'src' ? seen.src : seen.dst)
  const parts: string[] = []
  for (const [at, kind] of kinds.entries()) {
    const part = kind === 'port' ? portOf(seen, directions[at]!) : addressOf(seen, directions[at]!)
    if (part === null) return false
    parts.push(part)
  }
  return set.elements.has(parts.join(','))
}

function addressOf(seen: Seen, direction: Direction): string {
  const address = direction === 'src' ? seen.src : seen.dst
  return formatAddress(address.value, address.family)
}

/** Null: the packet's header is not at hand. Protocols without ports count as port 0. */
function portOf(seen: Seen, direction: Direction): string | null {
  const { protocol, family } = seen
  if (seen.packet.laterFragment === true) return null
  if (PORTED.has(protocol) && protocol !== 33)
    return printPort(protocol, need(seen, direction === 'src' ? 'sport' : 'dport'), family)
  const icmp = protocol === (family === 4 ? 1 : 58)
  if (icmp) return printPort(protocol, (need(seen, 'icmpType') << 8) | need(seen, 'icmpCode'), family)
  return printPort(protocol, 0, family)
}

/** The longest network that holds the address decides; a `nomatch` one decides no. */
function netMatches(set: FakeSet, address: Address): boolean {
  let longest = -1
  let matches = false
  for (const [text, net] of set.nets) {
    if (net.length <= longest || !cidrContains(net, address)) continue
    longest = net.length
    matches = !set.elements.get(text)!.nomatch
  }
  return matches
}
