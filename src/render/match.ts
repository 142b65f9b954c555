import { formatPort } from '../model/port.ts'
import { ICMP, ICMPV6, TCP, UDP } from '../model/protocol.ts'
import type { Family, PortRange } from '../model/values.ts'
import { markText } from './mark.ts'
import { protocolText } from './protocol-text.ts'

/**
 * Matches as iptables-save 1.8.9 prints them, nft and legacy alike. This file and action.ts are the only
 * places where iptables syntax is made; test/render/kernel-text.ts holds them against the real tools.
 */
export interface Match {
  /** iptables-save prints -s, -d, -i, -o, -p in this order, then the extensions in the order of the rule. */
  readonly place: 0 | 1 | 2 | 3 | 4 | 5
  readonly text: string
}

function option(place: Match['place'], text: string, negated: boolean): Match {
  return { place, text: negated ? `! ${text}` : text }
}

/** `net` is canonical text with a prefix length above 0: a match on 0.0.0.0/0 is printed as none. */
export function source(net: string, negated = false): Match {
  return option(0, `-s ${net}`, negated)
}

export function destination(net: string, negated = false): Match {
  return option(1, `-d ${net}`, negated)
}

/** One address as the network that iptables-save prints. */
export function hostNet(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`
}

/** `name` is an interface name, or a prefix and `+`. */
export function inInterface(name: string, negated = false): Match {
  return option(2, `-i ${name}`, negated)
}

export function outInterface(name: string, negated = false): Match {
  return option(3, `-o ${name}`, negated)
}

/** A bridge port; matches routed packets too, as long as they came in through a bridge. */
export function inPort(port: string, negated = false): Match {
  return option(5, negated ? `-m physdev ! --physdev-in ${port}` : `-m physdev --physdev-in ${port}`, false)
}

export function protocol(number: number, negated = false, names?: ReadonlyMap<number, string>): Match {
  return option(4, `-p ${protocolText(number, names)}`, negated)
}

function extension(text: string): Match {
  return { place: 5, text }
}

/** One port or range of TCP or UDP: native in iptables-nft and so several times cheaper than multiport. */
export function portMatch(number: number, ports: { source?: PortMatch; destination?: PortMatch }): Match {
  const words = [`-m ${protocolText(number)}`]
  if (ports.source !== undefined) words.push(portWord('sport', ports.source))
  if (ports.destination !== undefined) words.push(portWord('dport', ports.destination))
  return extension(words.join(' '))
}

export interface PortMatch {
  readonly range: PortRange
  readonly negated: boolean
}

function portWord(name: string, { range, negated }: PortMatch): string {
  return `${negated ? '! ' : ''}--${name} ${formatPort(range)}`
}

/** At most fifteen slots, a range taking two. */
export function multiport(
  side: 'source' | 'destination',
  ranges: readonly PortRange[],
  negated = false,
): Match {
  const name = side === 'source' ? '--sports' : '--dports'
  return extension(`-m multiport ${negated ? '! ' : ''}${name} ${ranges.map(formatPort).join(',')}`)
}

/** UDP from one port to another. */
export function udpPorts(from: number | null, to: number): Match[] {
  const destinationPort = { range: { first: to, last: to }, negated: false }
  const sourcePort = from === null ? {} : { source: { range: { first: from, last: from }, negated: false } }
  return [protocol(UDP), portMatch(UDP, { ...sourcePort, destination: destinationPort })]
}

export function tcpTo(port: number): Match[] {
  return [
    protocol(TCP),
    portMatch(TCP, { destination: { range: { first: port, last: port }, negated: false } }),
  ]
}

/** An ICMP type (0..254), with a code or with any; the caller adds the protocol. */
export function icmp(family: Family, type: number, code: number | null, negated = false): Match {
  const [module, name] = family === 4 ? ['icmp', 'icmp-type'] : ['icmp6', 'icmpv6-type']
  return extension(`-m ${module} ${negated ? '! ' : ''}--${name} ${type}${code === null ? '' : `/${code}`}`)
}

/** The protocol number that ICMP has in a family. */
export function icmpProtocol(family: Family): number {
  return family === 4 ? ICMP : ICMPV6
}

export function icmpv6(type: number): Match[] {
  return [protocol(ICMPV6), icmp(6, type, null)]
}

/** A hop limit of 255: the packet has crossed no router. */
export function fromThisLink(): Match {
  return extension('-m hl --hl-eq 255')
}

/** `dimensions` is `src`, `dst`, or a list for sets of several. */
export function inSet(name: string, dimensions: string, negated = false): Match {
  return extension(`-m set ${negated ? '! ' : ''}--match-set ${name} ${dimensions}`)
}

export function state(states: 'RELATED,ESTABLISHED' | 'INVALID' | 'DNAT'): Match {
  return extension(`-m conntrack --ctstate ${states}`)
}

/** Whether the bits of `mask` are all set; negated: whether one is clear (`mask` is a single bit here). */
export function marked(mask: number, negated = false): Match {
  return extension(`-m mark ${negated ? '! ' : ''}--mark ${markText(mask)}/${markText(mask)}`)
}

/** Whether the bits of `mask` are all clear. */
export function unmarked(mask: number): Match {
  return extension(`-m mark --mark 0x0/${markText(mask)}`)
}

/** `mac` in lower case. */
export function sourceMac(mac: string, negated = false): Match {
  return extension(`-m mac ${negated ? '! ' : ''}--mac-source ${mac}`)
}

/** Fails the reverse path check: no route to the source leads out of the interface it came in by. */
export function reversePathFails(): Match {
  return extension('-m rpfilter --invert')
}

/** Must be the last match of a rule: it counts each packet that reaches it. */
export function limit(rate: string): Match {
  return extension(`-m limit --limit ${rate}`)
}
