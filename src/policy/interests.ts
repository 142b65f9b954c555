import type { ActiveRules } from './active-rules.ts'
import type { DepartedAddresses } from './departed-addresses.ts'
import type { LocalEndpoint, PolicyDelta } from './outcome.ts'

/** What a delta may have changed the verdict of. Any other connection is decided as before. */
export interface Interests {
  readonly endpoints: ReadonlySet<string>
  /** Addresses that those endpoints have, or had before the delta. */
  readonly addresses: ReadonlySet<string>
  /**
   * Addresses that an endpoint of this node lost, or got from one elsewhere: what is open with them is the former
   * owner's. One that nobody had before is not among them, since its connections can only be the new owner's.
   */
  readonly moved: ReadonlySet<string>
}

/** `former`: the endpoints that the delta changed, as they were before it; `now`: the present ones. */
export function interests(
  delta: PolicyDelta,
  rules: ActiveRules,
  former: readonly LocalEndpoint[],
  now: (id: string) => LocalEndpoint | undefined,
  departed: DepartedAddresses,
): Interests {
  const lists = new Set(delta.lists.keys())
  for (const set of delta.sets.keys()) for (const list of rules.listsWith(set)) lists.add(list)
  const endpoints = new Set(delta.endpoints.keys())
  for (const list of lists) for (const endpoint of rules.usersOf(list)) endpoints.add(endpoint)
  const addresses = new Set<string>()
  for (const endpoint of [...former, ...Array.from(endpoints, now)])
    if (endpoint !== undefined)
      for (const address of [...endpoint.addresses4, ...endpoint.addresses6]) addresses.add(address)
  return { endpoints, addresses, moved: movedAddresses(delta, former, departed) }
}

function movedAddresses(
  delta: PolicyDelta,
  former: readonly LocalEndpoint[],
  departed: DepartedAddresses,
): ReadonlySet<string> {
  const moved = new Set<string>()
  const before = new Map(former.map(endpoint => [endpoint.id, endpoint]))
  for (const [id, after] of delta.endpoints) {
    const had = placesOf(before.get(id))
    const has = placesOf(after)
    for (const [place, address] of had) if (!has.has(place)) moved.add(address)
    for (const [place, address] of has) if (!had.has(place) && departed.take(address)) moved.add(address)
  }
  return moved
}

/** Where an endpoint's addresses are: behind another interface or hardware address another workload has them. */
function placesOf(endpoint: LocalEndpoint | null | undefined): ReadonlyMap<string, string> {
  if (endpoint === null || endpoint === undefined) return new Map()
  const { interface: name, mac, addresses4, addresses6 } = endpoint
  return new Map([...addresses4, ...addresses6].map(address => [`${name} ${mac} ${address}`, address]))
}
