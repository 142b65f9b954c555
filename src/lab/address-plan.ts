import { createHash } from 'node:crypto'
import { cidrContains, parseAddress, parseCidr } from '../model/cidr.ts'

/** Who has which address in the laboratory. Pure: a node's number and a pod's number decide everything. */

export interface NodeAddresses {
  readonly address4: string
  readonly address6: string
  /** Ranges of its routed pods, and of the pods on its bridge. */
  readonly routed4: string
  readonly routed6: string
  readonly bridge4: string
  readonly bridge6: string
  /** The bridge's own addresses, its pods' gateways. */
  readonly gateway4: string
  readonly gateway6: string
}

/** The fabric joins the nodes; the sandbox's own namespace has this address on it (a store can listen there). */
export const FABRIC = { bridge: 'fabric', address4: '10.90.0.1', address6: 'fd90::1' } as const
const FABRIC_RANGES = ['10.90.0.0/24', 'fd90::/64'] as const
export const EXTERNAL = { address4: '10.90.0.200', address6: 'fd90::200' } as const

/** What a routed pod sees as its gateway: the addresses and the hardware address that Calico gives every host side. */
export const ROUTED_GATEWAY = {
  address4: '169.254.1.1',
  address6: 'fe80::ecee:eeff:feee:eeee',
  mac: 'ee:ee:ee:ee:ee:ee',
} as const

/** `number` from 1 to 99. */
export function nodeAddresses(number: number): NodeAddresses {
  return {
    address4: `10.90.0.${10 + number}`,
    address6: `fd90::${10 + number}`,
    routed4: `10.65.${number}.0/24`,
    routed6: `fd65:0:0:${number}::/64`,
    bridge4: `10.66.${number}.0/24`,
    bridge6: `fd66:0:0:${number}::/64`,
    gateway4: `10.66.${number}.1`,
    gateway6: `fd66:0:0:${number}::1`,
  }
}

/** Whether an address is of the fabric's own range. Any other one has to be routed to its place by itself. */
export function onFabric(address: string): boolean {
  return FABRIC_RANGES.some(range => inRange(address, range))
}

/** An address as the range that holds it alone. */
export function alone(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`
}

/** A pod's own addresses: the node's range and a number from 2 to 254. */
export function podAddress(range: string, number: number): string {
  const base = range.slice(0, range.indexOf('/'))
  return base.includes(':') ? `${base}${number.toString(16)}` : base.replace(/0$/, String(number))
}

export function inRange(address: string, range: string): boolean {
  const [parsed, cidr] = [parseAddress(address), parseCidr(range)]
  return parsed !== null && cidr !== null && cidrContains(cidr, parsed)
}

/** The host-side name of a pod's interface, at most 15 characters: `cali` or `veth` and 11 of a hash. */
export function hostInterface(prefix: 'cali' | 'veth', pod: string): string {
  return prefix + createHash('sha1').update(pod).digest('hex').slice(0, 11)
}

/** A locally administered hardware address that is the pod's alone. */
export function podMac(pod: string): string {
  const hash = createHash('sha1').update(pod).digest('hex')
  return `02:${hash.slice(0, 10).replace(/(..)(?=.)/g, '$1:')}`
}
