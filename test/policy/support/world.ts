import { decodeRule } from '../../../src/model/rule.ts'
import { parseSelector } from '../../../src/model/selector.ts'
import type {
  Broken,
  EndpointRemains,
  ModelChange,
  Policy,
  PolicyRemains,
  RuleSet,
  WorkloadEndpoint,
} from '../../../src/model/values.ts'

/** Model values in few words. `HERE` is the node under test. */
export const HERE = 'here'

export type Rules = readonly object[]

export interface EndpointWords {
  readonly addresses?: readonly string[]
  readonly profiles?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly active?: boolean
  readonly mac?: string
}

export function broken<Remains>(remains: Remains, reason = 'unreadable'): Broken<Remains> {
  return { broken: { key: '/k', reason, remedy: 'Correct it.' }, remains }
}

export function endpointValue(id: string, words: EndpointWords): WorkloadEndpoint {
  const [host = '', orchestrator = '', workload = '', endpoint = ''] = id.split('/')
  const addresses = words.addresses ?? []
  return {
    host,
    orchestrator,
    workload,
    endpoint,
    active: words.active ?? true,
    interface: `cali${workload}`,
    mac: words.mac ?? null,
    profiles: words.profiles ?? [],
    addresses4: addresses.filter(address => !address.includes(':')),
    addresses6: addresses.filter(address => address.includes(':')),
    labels: new Map(Object.entries(words.labels ?? {})),
  }
}

/** `id`: `web` is a workload of this node, `there/web` one of another. */
export function idOf(short: string): string {
  const [first, second] = short.split('/')
  return second === undefined ? `${HERE}/k8s/${first}/eth0` : `${first}/k8s/${second}/eth0`
}

export function endpoint(short: string, words: EndpointWords | Broken<EndpointRemains> | null): ModelChange {
  const id = idOf(short)
  const value = words === null || 'broken' in words ? words : endpointValue(id, words)
  return { kind: 'workload-endpoint', id, value }
}

export function ruleSet(inbound: Rules, outbound: Rules = []): RuleSet {
  return {
    inbound: inbound.map((rule, at) => decodeRule(rule, `inbound_rules[${at}]`)),
    outbound: outbound.map((rule, at) => decodeRule(rule, `outbound_rules[${at}]`)),
  }
}

export function rules(profile: string, inbound: Rules, outbound: Rules = [{}]): ModelChange {
  return { kind: 'profile-rules', id: profile, value: ruleSet(inbound, outbound) }
}

export function tags(profile: string, ...names: readonly string[]): ModelChange {
  return { kind: 'profile-tags', id: profile, value: names }
}

export function labels(profile: string, words: Readonly<Record<string, string>>): ModelChange {
  return { kind: 'profile-labels', id: profile, value: new Map(Object.entries(words)) }
}

export function tier(name: string, order = Number.POSITIVE_INFINITY): ModelChange {
  return { kind: 'tier', id: name, value: { order } }
}

export function policy(
  id: string,
  selector: string,
  inbound: Rules,
  outbound: Rules = [{}],
  order = Number.POSITIVE_INFINITY,
): ModelChange {
  const value: Policy = { ...ruleSet(inbound, outbound), selector: parseSelector(selector), order }
  return { kind: 'policy', id, value }
}

export function brokenPolicy(
  id: string,
  remains: { readonly selector?: string; readonly order?: number } = {},
): ModelChange {
  const { selector, order } = remains
  const kept: PolicyRemains = {
    ...(selector === undefined ? {} : { selector: parseSelector(selector) }),
    ...(order === undefined ? {} : { order }),
  }
  return { kind: 'policy', id, value: broken(kept) }
}

export function brokenPart(
  kind: 'profile-rules' | 'profile-tags' | 'profile-labels' | 'tier',
  id: string,
): ModelChange {
  return { kind, id, value: broken({}) }
}

export function gone({ kind, id }: ModelChange): ModelChange {
  return { kind, id, value: null }
}

export function keyOf({ kind, id }: ModelChange): string {
  return `${kind} ${id}`
}
