import type { ActiveRules } from './active-rules.ts'
import type { DepartedAddresses } from './departed-addresses.ts'
import type { LocalEndpoint, PolicyDelta } from './outcome.ts'

/** What a delta may have changed the verdict of. Any other connection is decided as before. */
export interface Interests {
  readonly endpoints: ReadonlySet<string>
  /** Addresses that those endpoints have, or had before the delta. */
  readonly addresses: ReadonlySet<string>
  /** Addresses that an endpoint of this node lost: what is open with them was its own. */
  readonly left: ReadonlySet<string>
  /** Addresses that an endpoint of this node got. */
  readonly got: ReadonlySet<string>
  /** Those of them that another one had before, here or elsewhere: what is open with them is not the new owner's. */
  readonly taken: ReadonlySet<string>
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
  return { endpoints, addresses, ...handovers(delta, former, departed) }
}

function handovers(
  delta: PolicyDelta,
  former: readonly LocalEndpoint[],
  departed: DepartedAddresses,
): Pick<Interests, 'left' | 'got' | 'taken'> {
  const left = new Set<string>()
  const got = new Set<string>()
  const before = new Map(former.map(endpoint => [endpoint.id, endpoint]))
  for (const [id, after] of delta.endpoints) {
    const former = before.get(id)
    const [had, has] = [addressesOf(former), addressesOf(after)]
    const same = isSameWorkload(former, after)
    for (const address of had) if (!same || !has.has(address)) left.add(address)
    for (const address of has) if (!same || !had.has(address)) got.add(address)
  }
  const taken = new Set([...got].filter(address => departed.take(address) || left.has(address)))
  return { left, got, taken }
}

/** An endpoint keeps its name when its workload is made anew; another hardware address tells. */
function isSameWorkload(before: LocalEndpoint | undefined, after: LocalEndpoint | null): boolean {
  const [had, has] = [before?.mac ?? null, after?.mac ?? null]
  return had === null || has === null || had === has
}

function addressesOf(endpoint: LocalEndpoint | null | undefined): ReadonlySet<string> {
  return new Set(endpoint ? [...endpoint.addresses4, ...endpoint.addresses6] : [])
}
