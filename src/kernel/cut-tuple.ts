import type { Family } from '../model/values.ts'
import type { ConntrackEntry, Flow } from './conntrack.ts'
import { printPort } from './ipset/element.ts'
import { parseIcmp } from './ipset/icmp-names.ts'
import { PORTED, protocolNumber } from './ipset/protocol.ts'

/** `client,protocol:serverport,server`, as the cut sets hold it and as `ipset save` prints it. */
export function elementOf(flow: Flow): string {
  const { family, source, destination, protocol, destinationPort = 0, icmpType = 0, icmpCode = 0 } = flow
  const icmp = protocol === (family === 4 ? 1 : 58)
  const port = icmp ? (icmpType << 8) | icmpCode : PORTED.has(protocol) ? destinationPort : 0
  return `${source},${printPort(protocol, port, family)},${destination}`
}

/** An element of a cut set as the flow it stands for (its source port is not known), or null. */
export function flowOf(element: string, family: Family): Flow | null {
  const [source, middle = '', destination] = element.split(',')
  const colon = middle.indexOf(':')
  const protocol = protocolNumber(middle.slice(0, colon))
  const value = middle.slice(colon + 1)
  if (source === undefined || destination === undefined || colon < 0 || protocol === null) return null
  const flow = { family, source, destination, protocol }
  if (protocol === (family === 4 ? 1 : 58)) {
    const icmp = parseIcmp(value, family)
    return icmp === null ? null : { ...flow, icmpType: icmp[0], icmpCode: icmp[1] }
  }
  return PORTED.has(protocol) ? { ...flow, destinationPort: Number(value) } : flow
}

/** The words for conntrack that delete some entries. */
export type Deletion = readonly string[]

/** Deletes every entry of the tuple, whatever its client port: all of them are judged alike. */
export function deleteTuple({ family, source, destination, protocol, destinationPort }: Flow): Deletion {
  const port = destinationPort === undefined ? [] : ['--reply-port-src', `${destinationPort}`]
  return [...head(family), '-p', `${protocol}`, '-s', source, '-r', destination, ...port]
}

/** Deletes this one connection. */
export function deleteConnection({ flow, dialed, dialedPort }: ConntrackEntry): Deletion {
  const { family, source, protocol, sourcePort } = flow
  const ports = sourcePort === undefined ? [] : ['--sport', `${sourcePort}`, '--dport', `${dialedPort}`]
  return [...head(family), '-p', `${protocol}`, '-s', source, '-d', dialed, ...ports]
}

/** Deletes everything that a server answers. */
export function deleteServer(family: Family, server: string): Deletion {
  return [...head(family), '-r', server]
}

/** Deletes everything that a client opened. */
export function deleteClient(family: Family, client: string): Deletion {
  return [...head(family), '-s', client]
}

function head(family: Family): Deletion {
  return ['-D', '-f', family === 4 ? 'ipv4' : 'ipv6']
}
