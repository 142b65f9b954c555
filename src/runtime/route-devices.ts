import { readFile } from 'node:fs/promises'
import { type Cidr, cidrContains, parseAddress } from '../model/cidr.ts'
import type { LocalEndpoint } from '../policy/outcome.ts'

/** A route of the main table: which device a network lies behind. */
export interface Route {
  readonly net: Cidr
  readonly device: string
}

/** The kernel's flag of a route that refuses. */
const REJECT = 0x200

/** The text of /proc/net/route: addresses and masks as little-endian hex. Lines of another shape are left out. */
export function parseRoutes4(text: string): Route[] {
  return text.split('\n').flatMap(line => {
    const [device = '', base = '', , flags = '', , , , mask = ''] = line.split('\t')
    if (!/^[0-9A-F]{8}$/.test(base) || !/^[0-9A-F]{8}$/.test(mask) || refuses(flags)) return []
    const length = bytesReversed(mask).toString(2).replaceAll('0', '').length
    return [{ net: { family: 4 as const, base: bytesReversed(base), length }, device }]
  })
}

/** The text of /proc/net/ipv6_route. Lines of another shape are left out. */
export function parseRoutes6(text: string): Route[] {
  return text.split('\n').flatMap(line => {
    const fields = line.trim().split(/\s+/)
    const [base = '', length = '', flags = '', device = ''] = [fields[0], fields[1], fields[8], fields[9]]
    if (!/^[0-9a-f]{32}$/.test(base) || !/^[0-9a-f]{2}$/.test(length) || refuses(flags)) return []
    return [
      { net: { family: 6 as const, base: BigInt(`0x${base}`), length: Number.parseInt(length, 16) }, device },
    ]
  })
}

function refuses(flags: string): boolean {
  return (Number.parseInt(flags, 16) & REJECT) !== 0
}

function bytesReversed(hex: string): bigint {
  return BigInt(`0x${hex.match(/../g)!.reverse().join('')}`)
}

/** This host's routes as they are now; none where the kernel does not tell. */
export async function readRoutes(): Promise<Route[]> {
  const text = (path: string) => readFile(path, 'utf8').catch(() => '')
  const [four, six] = await Promise.all([text('/proc/net/route'), text('/proc/net/ipv6_route')])
  return [...parseRoutes4(four), ...parseRoutes6(six)]
}

/**
 * Of endpoints that are told by their addresses alone, those whose address is routed to a device that is no workload's: no
 * rule sees what passes there. One sentence for each address.
 */
export function strayAddresses(
  endpoints: readonly LocalEndpoint[],
  routes: readonly Route[],
  isGate: (device: string) => boolean,
): string[] {
  return endpoints
    .filter(endpoint => endpoint.interface === null)
    .flatMap(({ id, addresses4, addresses6 }) =>
      [...addresses4, ...addresses6].flatMap(address => {
        const device = deviceOf(address, routes)
        if (device === null || isGate(device)) return []
        return [
          `endpoint ${id} is NOT ENFORCED: ${address} is routed to ${device}, which is no workload interface`,
        ]
      }),
    )
}

function deviceOf(text: string, routes: readonly Route[]): string | null {
  const address = parseAddress(text)
  if (address === null) return null
  let best: Route | null = null
  for (const route of routes)
    if (cidrContains(route.net, address) && (best === null || route.net.length > best.net.length))
      best = route
  return best?.device ?? null
}
