import type { Refusal, Unmet } from '../kernel/report.ts'
import type { LocalEndpoint, RuleListId, SetId } from '../policy/outcome.ts'
import type { PolicyView } from '../policy/view.ts'
import { endpointIdentity, endpointOwner } from '../render/endpoint-chain.ts'
import { SET_ROLES } from '../render/kernel-delta.ts'
import type { PlacedLocal } from '../render/placed-view.ts'
import { listOwner } from '../render/rule-list.ts'
import { setOwner } from '../render/sets.ts'
import type { EndpointStatus } from './status.ts'

/** What decides the state of all local endpoints. */
export interface EndpointGround {
  readonly view: PolicyView
  readonly unmet: Unmet
  /** Identities that got no chain, since another has its name. */
  readonly nameless: ReadonlySet<string>
  /** Why the last revision seen is not carried out yet; null: it is. */
  readonly pending: string | null
}

/** How many endpoints are in each state once nothing is pending. */
export interface EndpointCounts {
  readonly enforced: number
  readonly closed: number
  readonly failed: number
}

/** The states of local endpoints: each concerned only by what the kernel holds or lacks for it. */
export function endpointStates(endpoints: readonly PlacedLocal[], ground: EndpointGround): EndpointStatus[] {
  const lacks = new Lacks(ground.unmet, ground.view)
  return endpoints.map(endpoint => stateOf(endpoint, lacks, ground))
}

/** The same, counted; far cheaper, since it is done after every apply. */
export function countStates(
  endpoints: readonly PlacedLocal[],
  ground: Omit<EndpointGround, 'pending'>,
): EndpointCounts {
  const lacks = new Lacks(ground.unmet, ground.view)
  const counts = { enforced: 0, closed: 0, failed: 0 }
  for (const endpoint of endpoints) {
    if (failureOf(endpoint, lacks) !== null) counts.failed++
    else if (closureOf(endpoint, ground) !== null) counts.closed++
    else counts.enforced++
  }
  return counts
}

function stateOf(endpoint: PlacedLocal, lacks: Lacks, ground: EndpointGround): EndpointStatus {
  const { pending } = ground
  const failure = failureOf(endpoint, lacks)
  const closure = closureOf(endpoint, ground)
  const policies = [...new Set(listsOf(endpoint).map(list => list.slice(0, list.lastIndexOf(':'))))]
  const base = {
    id: endpoint.id,
    interface: endpoint.interface,
    addresses: [...endpoint.addresses4, ...endpoint.addresses6],
    policies,
  }
  if (failure !== null) return { ...base, state: 'failed', reason: failure }
  if (pending !== null) return { ...base, state: 'pending', reason: closure ?? pending }
  return { ...base, state: closure === null ? 'enforced' : 'closed', reason: closure }
}

/** Why policy does not hold for it; null: it does, or all is closed. */
function failureOf(endpoint: PlacedLocal, lacks: Lacks): string | null {
  const { unseen } = endpoint
  if (unseen === null) return lacks.of(endpoint)
  const where = unseen.what === 'all' ? '' : ' between workloads of its bridge, and closed to all others'
  return `NOT ENFORCED${where}: ${unseen.why}`
}

/** Why it is closed where policy would not close it; null: it is not. */
function closureOf(
  { id, closed }: PlacedLocal,
  { nameless }: Pick<EndpointGround, 'nameless'>,
): string | null {
  if (closed !== null || nameless.size === 0) return closed
  const own = (['from', 'to'] as const).find(direction => nameless.has(endpointIdentity(id, direction)))
  return own === undefined ? null : `another chain has the name of the one for what goes ${own} it`
}

function listsOf({ ingress, egress }: LocalEndpoint): readonly RuleListId[] {
  const lists = new Set<RuleListId>()
  for (const { tiers, profiles } of [ingress, egress])
    for (const list of [...tiers.flatMap(tier => tier.lists), ...profiles]) lists.add(list)
  return [...lists]
}

/** What the kernel did not take, by whom it concerns. */
class Lacks {
  readonly #view: PolicyView
  readonly #said = new Map<string, string>()
  readonly #short: boolean
  /** Of a chain that serves no endpoint of its own: it concerns them all. */
  readonly #everybody: string | null
  readonly #lists = new Map<RuleListId, string | null>()

  constructor({ refused, short }: Unmet, view: PolicyView) {
    this.#view = view
    const chains = refused.filter(({ litter }) => !litter)
    for (const { owner, said } of chains) this.#said.set(owner, said)
    for (const { owner, lacking, said } of short)
      this.#said.set(owner, `the set of ${owner} lacks ${lacking} members: ${said}`)
    this.#short = short.length > 0
    this.#everybody = chains.find(isEverybodys)?.said ?? null
  }

  of(endpoint: LocalEndpoint): string | null {
    if (this.#said.size === 0) return null
    const { id } = endpoint
    return (
      this.#everybody ??
      this.#said.get(endpointOwner(id, 'to')) ??
      this.#said.get(endpointOwner(id, 'from')) ??
      this.#first(listsOf(endpoint), list => this.#ofList(list))
    )
  }

  #ofList(id: RuleListId): string | null {
    let lack = this.#lists.get(id)
    if (lack !== undefined) return lack
    const list = this.#view.list(id)
    lack = (list && this.#said.get(listOwner(list))) ?? null
    if (lack === null && this.#short) {
      const sets = new Set<SetId>()
      for (const { is, not } of list?.rules ?? [])
        for (const { srcSets = [], dstSets = [] } of [is, not])
          for (const set of [...srcSets, ...dstSets]) sets.add(set)
      lack = this.#first(sets, set =>
        this.#first(SET_ROLES, role => this.#said.get(setOwner(set, role)) ?? null),
      )
    }
    this.#lists.set(id, lack)
    return lack
  }

  #first<Item>(items: Iterable<Item>, said: (item: Item) => string | null): string | null {
    for (const item of items) {
      const lack = said(item)
      if (lack !== null) return lack
    }
    return null
  }
}

/** The top chains, dispatch, the source check and the actions serve all. */
function isEverybodys({ owner }: Refusal): boolean {
  return !/^(?:endpoint|policy|profile) /.test(owner)
}
