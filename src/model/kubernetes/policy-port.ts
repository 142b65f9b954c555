import { asObject, member } from '../json.ts'
import { Refusal, show } from '../refusal.ts'

export type PortProtocol = 'tcp' | 'udp' | 'sctp'

/** A protocol with its ports: all of them, a range, or whatever number the destination pod has under a name. */
export type PolicyPort =
  | { readonly protocol: PortProtocol; readonly all: true }
  | { readonly protocol: PortProtocol; readonly first: number; readonly last: number }
  | { readonly protocol: PortProtocol; readonly name: string }

const PROTOCOLS: Readonly<Record<string, PortProtocol>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' }

/** Kubernetes' word for a protocol; absent: TCP. Throws Refusal. */
export function decodePortProtocol(value: unknown, place: string): PortProtocol {
  const text = value ?? 'TCP'
  if (typeof text === 'string' && Object.hasOwn(PROTOCOLS, text)) return PROTOCOLS[text]!
  throw new Refusal(place, `${show(value)} is not a protocol here`, 'Use TCP, UDP or SCTP.')
}

/** IANA's service names: up to 15 lower-case letters, digits and single dashes, with a letter. */
export function isPortName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length <= 15 &&
    /^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(value) &&
    /[a-z]/.test(value)
  )
}

/** A port number of a pod or a policy. */
export function isPortNumber(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535
}

/** An item of a NetworkPolicy's `ports`. Throws Refusal. */
export function decodePolicyPort(json: unknown, place: string): PolicyPort {
  const item = asObject(json, place)
  const protocol = decodePortProtocol(member(item, 'protocol'), `${place}.protocol`)
  const port = member(item, 'port') ?? null
  const end = member(item, 'endPort') ?? null
  if (end !== null && !(isPortNumber(port) && isPortNumber(end) && end >= port))
    throw new Refusal(
      `${place}.endPort`,
      `${show(end)} cannot be the end of a range from ${show(port)}`,
      'Name a numeric port and an endPort from it to 65535.',
    )
  if (port === null) return { protocol, all: true }
  if (isPortNumber(port)) return { protocol, first: port, last: (end as number | null) ?? port }
  if (isPortName(port)) return { protocol, name: port }
  throw new Refusal(
    `${place}.port`,
    `${show(port)} is not a port`,
    "Use a number from 1 to 65535, or a container port's name.",
  )
}
