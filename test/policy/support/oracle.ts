import type { Selector } from '../../../src/model/selector.ts'
import type {
  Broken,
  Direction,
  EndpointRemains,
  ModelChange,
  Policy,
  PolicyRemains,
  Rule,
  RuleSet,
  Tier,
  WorkloadEndpoint,
} from '../../../src/model/values.ts'
import { effectiveRules, underDoubt } from '../../../src/policy/effective-rule.ts'
import type { LocalEndpoint, RuleList } from '../../../src/policy/outcome.ts'
import { sorted } from './mirror.ts'
import { HERE, keyOf } from './world.ts'

/** The whole state from the present values in the plainest way: no index, no memory, everything anew. */
export class Oracle {
  readonly #values = new Map<string, ModelChange>()

  constructor(changes: Iterable<ModelChange>) {
    for (const change of changes)
      if (change.value === null) this.#values.delete(keyOf(change))
      else this.#values.set(keyOf(change), change)
  }

  /** As `Mirror.state`. */
  state(): object {
    const endpoints = new Map(this.locals().map(value => [value.id, value]))
    const lists = new Map<string, RuleList>()
    for (const { ingress, egress } of endpoints.values())
      for (const { tiers, profiles } of [ingress, egress])
        for (const id of [...tiers.flatMap(each => each.lists), ...profiles]) lists.set(id, this.list(id))
    const sets = new Map<string, string[]>()
    for (const { owner, direction, closed } of lists.values())
      if (closed === null)
        for (const [id, wanted] of this.#setsOf(this.rules(owner.kind, owner.name, direction)))
          sets.set(id, [...this.members(wanted)].sort())
    return { endpoints: sorted(endpoints), lists: sorted(lists), sets: sorted(sets) }
  }

  locals(): LocalEndpoint[] {
    return [...this.#of<WorkloadEndpoint | Broken<EndpointRemains>>('workload-endpoint')]
      .filter((entry): entry is [string, WorkloadEndpoint] => 'host' in entry[1] && entry[1].host === HERE)
      .map(([id, value]) => this.#local(id, value))
  }

  #local(id: string, value: WorkloadEndpoint): LocalEndpoint {
    const unreadable = value.profiles.find(name => this.#isBroken('profile-labels', name))
    const closed = !value.active
      ? 'the endpoint is inactive'
      : unreadable === undefined
        ? null
        : `the labels of profile ${unreadable} cannot be read: unreadable`
    const { interface: name, mac, addresses4, addresses6 } = value
    const stack = (direction: Direction) => ({
      tiers: closed === null ? this.tiersFor(id, direction) : [],
      profiles: closed === null ? this.#profilesOf(value, direction) : [],
    })
    const [ingress, egress] = [stack('inbound'), stack('outbound')]
    return { id, interface: name, mac, addresses4, addresses6, closed, ingress, egress }
  }

  tiersFor(endpoint: string, direction: Direction): { name: string; lists: string[] }[] {
    const { known } = this.labels(endpoint)
    const order = (value: { order: number } | Broken<{ order?: number }>) =>
      'broken' in value ? (value.remains.order ?? Number.NEGATIVE_INFINITY) : value.order
    const tiers = [...this.#of<Tier | Broken<object>>('tier')].map(([name, value]) => {
      const policies = [...this.#of<Policy | Broken<PolicyRemains>>('policy')]
        .filter(([id]) => id.startsWith(`${name}/`))
        .filter(([, each]) => ('broken' in each ? each.remains : each).selector?.matches(known) ?? true)
        .sort(([left, one], [right, other]) => compare([order(one), left], [order(other), right]))
      return { name, order: order(value), lists: policies.map(([id]) => `policy:${id}:${direction}`) }
    })
    return tiers
      .filter(({ lists }) => lists.length > 0)
      .sort((left, right) => compare([left.order, left.name], [right.order, right.name]))
      .map(({ name, lists }) => ({ name, lists }))
  }

  #profilesOf({ profiles }: WorkloadEndpoint, direction: Direction): string[] {
    const id = (name: string) => `profile:${name}:${direction}`
    const unreadable = profiles.find(name => this.#isBroken('profile-rules', name))
    if (unreadable !== undefined) return [id(unreadable)]
    const absent = profiles.findIndex(name => this.#get('profile-rules', name) === undefined)
    return (absent < 0 ? profiles : profiles.slice(0, absent + 1)).map(id)
  }

  list(id: string): RuleList {
    const [kind, name, direction] = id.split(':') as ['policy' | 'profile', string, Direction]
    const closed = this.closed(kind, name)
    const rules = closed === null ? this.rules(kind, name, direction) : []
    const found = rules
      .flatMap(effectiveRules)
      .flatMap(each => underDoubt(each, set => this.lacks(this.#wanted(set))))
    return { id, owner: { kind, name }, direction, rules: found, closed }
  }

  closed(kind: 'policy' | 'profile', name: string): string | null {
    if (kind === 'profile') {
      if (this.#get('profile-rules', name) === undefined) return `profile ${name} has no rules`
      return this.#isBroken('profile-rules', name)
        ? `the rules of profile ${name} cannot be read: unreadable`
        : null
    }
    const tier = name.slice(0, name.indexOf('/'))
    if (this.#isBroken('policy', name)) return `policy ${name} cannot be read: unreadable`
    return this.#isBroken('tier', tier) ? `tier ${tier} cannot be read: unreadable` : null
  }

  rules(kind: 'policy' | 'profile', name: string, direction: Direction): readonly Rule[] {
    const value = this.#get<RuleSet | Broken<object>>(kind === 'policy' ? 'policy' : 'profile-rules', name)
    return value === undefined || 'broken' in value ? [] : value[direction]
  }

  /** Addresses that surely belong to a tag's or selector's set. */
  members(wanted: string | Selector): Set<string> {
    const members = new Set<string>()
    for (const [id, value] of this.#of<WorkloadEndpoint | Broken<EndpointRemains>>('workload-endpoint')) {
      if ('broken' in value) continue
      const { known, sure } = this.labels(id)
      const belongs =
        typeof wanted === 'string'
          ? this.#tagsOf(value.profiles).includes(wanted)
          : sure && wanted.matches(known)
      if (belongs) for (const address of [...value.addresses4, ...value.addresses6]) members.add(address)
    }
    return members
  }

  /** Whether some endpoint belongs or might belong to a tag's or selector's set and is not in. */
  lacks(wanted: string | Selector): boolean {
    return [...this.#of<WorkloadEndpoint | Broken<EndpointRemains>>('workload-endpoint')].some(
      ([id, value]) => {
        const lost = 'broken' in value
        const profiles = lost ? value.remains.profiles : value.profiles
        if (typeof wanted === 'string') {
          if (profiles === undefined || profiles.some(name => this.#isBroken('profile-tags', name)))
            return true
          return lost && this.#tagsOf(profiles).includes(wanted)
        }
        const { known, sure } = this.labels(id)
        if (sure) return lost && wanted.matches(known)
        return wanted.needs.every(({ key, values }) => {
          const label = known.get(key)
          return label === undefined || values === null || values.includes(label)
        })
      },
    )
  }

  /** The labels that are certain, and whether these are all. */
  labels(endpoint: string): { known: ReadonlyMap<string, string>; sure: boolean } {
    const value = this.#get<WorkloadEndpoint | Broken<EndpointRemains>>('workload-endpoint', endpoint)!
    const { labels, profiles }: EndpointRemains = 'broken' in value ? value.remains : value
    if (labels === undefined) return { known: new Map(), sure: false }
    const known = new Map(labels)
    if (profiles === undefined) return { known, sure: false }
    for (const name of profiles) {
      if (this.#isBroken('profile-labels', name)) return { known, sure: false }
      for (const [key, text] of this.#get<ReadonlyMap<string, string>>('profile-labels', name) ?? [])
        if (!known.has(key)) known.set(key, text)
    }
    return { known, sure: true }
  }

  #tagsOf(profiles: readonly string[]): string[] {
    return profiles.flatMap(name =>
      this.#isBroken('profile-tags', name) ? [] : (this.#get<readonly string[]>('profile-tags', name) ?? []),
    )
  }

  #wanted(set: string): string | Selector {
    for (const [kind, name] of [...this.#names('policy'), ...this.#names('profile')])
      for (const direction of ['inbound', 'outbound'] as const)
        for (const [id, wanted] of this.#setsOf(this.rules(kind, name, direction)))
          if (id === set) return wanted
    throw new Error(`no rule uses ${set}`)
  }

  #setsOf(rules: readonly Rule[]): Map<string, string | Selector> {
    const sets = new Map<string, string | Selector>()
    for (const [index, rule] of rules.entries()) {
      const used = effectiveRules(rule, index).flatMap(({ is, not }) =>
        [is, not].flatMap(({ srcSets = [], dstSets = [] }) => [...srcSets, ...dstSets]),
      )
      for (const { srcTag, dstTag, srcSelector, dstSelector } of [rule.is, rule.not])
        for (const wanted of [srcTag, dstTag, srcSelector, dstSelector]) {
          if (wanted === undefined) continue
          const id = typeof wanted === 'string' ? `tag:${wanted}` : `selector:${wanted.text}`
          if (used.includes(id)) sets.set(id, wanted)
        }
    }
    return sets
  }

  #names(kind: 'policy' | 'profile'): ['policy' | 'profile', string][] {
    const part = kind === 'policy' ? 'policy' : 'profile-rules'
    return [...this.#of(part)].map(([name]) => [kind, name])
  }

  *#of<Value>(kind: string): Generator<[string, Value], void> {
    for (const change of this.#values.values())
      if (change.kind === kind) yield [change.id, change.value as Value]
  }

  #get<Value>(kind: string, id: string): Value | undefined {
    return this.#values.get(`${kind} ${id}`)?.value as Value | undefined
  }

  #isBroken(kind: string, id: string): boolean {
    return 'broken' in (this.#get<object>(kind, id) ?? {})
  }
}

function compare([order, name]: [number, string], [other, another]: [number, string]): number {
  return order === other ? (name < another ? -1 : 1) : order < other ? -1 : 1
}
