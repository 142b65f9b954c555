import { Refusal, show } from '../refusal.ts'
import type { PortRange } from '../values.ts'
import { field, structOf } from './go-json.ts'
import { decodePortName } from './object-name.ts'

export type Protocol = 'tcp' | 'udp' | 'sctp'

/** One port of a NetworkPolicy's rule: numbers, the name of a container's port, or null for any port of the protocol. */
export interface PolicyPort {
  readonly protocol: Protocol
  readonly port: PortRange | string | null
}

const PROTOCOLS: ReadonlyMap<unknown, Protocol> = new Map([
  ['TCP', 'tcp'],
  ['UDP', 'udp'],
  ['SCTP', 'sctp'],
])
const HIGHEST_PORT = 65535

/** A protocol of Kubernetes; absent means TCP. Throws Refusal. */
export function decodeProtocol(value: unknown, place: string): Protocol {
  const protocol = PROTOCOLS.get(value ?? 'TCP')
  if (protocol !== undefined) return protocol
  throw new Refusal(place, `${show(value)} is not a protocol`, 'Write TCP, UDP or SCTP.')
}

/** A port number of Kubernetes, 1 to 65535. Throws Refusal. */
export function decodePortNumber(value: unknown, place: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= HIGHEST_PORT)
    return value
  throw new Refusal(place, `${show(value)} is not a port`, 'Write a number 1 to 65535.')
}

/** An element of `ports` of a NetworkPolicy's rule. Throws Refusal for what the API server refuses. */
export function decodePolicyPort(json: unknown, place: string): PolicyPort {
  const object = structOf(json, place)
  const protocol = decodeProtocol(field(object, 'protocol'), `${place}.protocol`)
  const port = field(object, 'port')
  const endPort = field(object, 'endPort')
  if (endPort !== undefined && typeof port !== 'number')
    throw new Refusal(
      `${place}.endPort`,
      'endPort needs a port by number',
      'Write the first port as a number.',
    )
  if (port === undefined) return { protocol, port: null }
  if (typeof port === 'string') return { protocol, port: decodePortName(port, `${place}.port`) }
  const first = decodePortNumber(port, `${place}.port`)
  const last = endPort === undefined ? first : decodePortNumber(endPort, `${place}.endPort`)
  if (last >= first) return { protocol, port: { first, last } }
  throw new Refusal(
    `${place}.endPort`,
    `${last} lies before the port ${first}`,
    'Write the lower port first.',
  )
}
