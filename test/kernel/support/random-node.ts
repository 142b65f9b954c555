import * as fc from 'fast-check'
import { decodeRule } from '../../../src/model/rule.ts'
import { parseSelector } from '../../../src/model/selector.ts'
import type { ModelChange, Rule, RuleSet, WorkloadEndpoint } from '../../../src/model/values.ts'
import type { RenderOptions } from '../../../src/render/options.ts'
import { SELECTORS } from '../../policy/support/random-world.ts'
import { broken, endpointValue, HERE } from '../../policy/support/world.ts'

/**
 * Random nodes, small enough that everything meets everything. Each local endpoint has an interface and addresses
 * of its own by its number, and sometimes takes another's.
 */

const INTERFACES = ['cali1', 'cali2', 'veth1', 'veth2', 'cbr0', 'cali-br', 'tap1', 'br1', 'cbr0']
const LOCALS = INTERFACES.map((_, at) => `${HERE}/k/w${at}/e`)
const REMOTES = ['there/k/x/e', 'there/k/y/e']
const ADDRESSES4 = LOCALS.map((_, at) => `10.0.0.${at + 1}`)
const ADDRESSES6 = LOCALS.map((_, at) => `fd00::${at + 1}`)
const FAR = ['10.1.0.1', '10.0.0.129', 'fd01::1', 'fd00::8001']
const PROFILES = ['p', 'q', 'r']
const TAGS = ['s', 't']
/** `bare` has no metadata. */
const TIERS = ['front', 'back', 'bare']
/** More than one rule's matches can hold. */
const MANY_PORTS = [...Array.from({ length: 19 }, (_, at) => 2 * at + 1), 80]
const MANY_RANGES = Array.from({ length: 9 }, (_, at) => `${at * 60}:${at * 60 + 30}`)

export const renderOptions: fc.Arbitrary<RenderOptions> = fc.record({
  interfacePrefixes: fc.constantFrom(['cali'], ['cali', 'tap']),
  bridges: fc.constantFrom<string[]>(
    ...[[], ['cbr0'], ['cbr0'], ['cali-br'], ['cbr0', 'br1'], ['cbr0', 'cali-br']],
  ),
  markMask: fc.constantFrom(0xff000000, 0x15, 0xe0000000),
  onAllow: fc.constantFrom('accept' as const, 'return' as const),
  nodeToWorkload: fc.constantFrom('allow' as const, 'policy' as const, 'policy' as const),
  workloadToNode: fc.constantFrom('allow' as const, 'allow' as const, 'drop' as const),
  dropLog: fc.constantFrom(
    { enabled: false, group: 0, perSecond: 10 },
    { enabled: true, group: 3, perSecond: 10 },
  ),
  bridgeFilter: fc.constantFrom(true, true, true, true, true, false),
})

/** Mostly absent: a rule that asks for everything matches nothing, and tells nothing. */
function optional<Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

function weighted<Value>(...parts: readonly (readonly [number, fc.Arbitrary<Value>])[]): fc.Arbitrary<Value> {
  return fc.oneof(...parts.map(([weight, arbitrary]) => ({ weight, arbitrary })))
}

const protocol = fc.constantFrom<string | number>(
  ...['tcp', 'tcp', 'tcp', 'udp', 'udp', 'icmp', 'icmpv6', 'sctp', 'udplite', 'dccp'],
  ...[47, 4, 253],
)
const net = fc.constantFrom(
  ...['10.0.0.0/24', '10.0.0.0/30', '10.0.0.1', '0.0.0.0/0', '192.0.2.0/24', '192.168.9.9', '128.0.0.0/1'],
  ...['fd00::/64', 'fd00::2', '::/0', '2001:db8::/32'],
)
const ports = fc.constantFrom<(string | number)[]>(
  ...[[80], [443], [80, 443], ['79:81'], ['0:65535'], [0], [53, '60000:65535'], MANY_PORTS, MANY_RANGES],
)

const match = (sign: string) =>
  fc
    .record({
      protocol: optional(protocol),
      src_tag: optional(fc.constantFrom(...TAGS)),
      dst_tag: optional(fc.constantFrom(...TAGS)),
      src_selector: optional(fc.constantFrom(...SELECTORS)),
      dst_selector: optional(fc.constantFrom(...SELECTORS)),
      src_net: optional(net),
      dst_net: optional(net),
      src_ports: optional(ports),
      dst_ports: optional(ports),
      icmp_type: optional(fc.constantFrom(8, 128, 3)),
      icmp_code: optional(fc.constantFrom(0, 1)),
    })
    .map(fields =>
      Object.fromEntries(
        Object.entries(fields)
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => [sign + name, value]),
      ),
    )

/** A rule that the model accepts; where random fields clash, one with fewer. */
const rule: fc.Arbitrary<Rule> = fc
  .tuple(
    fc.constantFrom('allow', 'allow', 'allow', 'deny', 'deny', 'next-tier', 'log'),
    match(''),
    match('!'),
    fc.constantFrom(undefined, undefined, 4, 6),
    fc.constantFrom({ protocol: 'tcp' }, { protocol: 'udp' }, { protocol: 'icmp' }, {}),
    fc.constantFrom({}, {}, {}, { log_prefix: 'seen' }),
  )
  .map(([action, is, not, version, fallback, log]) => {
    const words = { action, ...log }
    const forms = [
      { ...is, ...not },
      { ...is, ...not, ...fallback },
      { ...is, ...fallback },
      is,
      not,
      fallback,
    ]
    for (const form of forms) {
      for (const restricted of version === undefined ? [{}] : [{ ip_version: version }, {}])
        try {
          return decodeRule({ ...words, ...restricted, ...form }, 'rule')
        } catch {}
    }
    throw new Error('a rule without fields is refused')
  })

const ALL = decodeRule({}, 'rule')
const NEXT = decodeRule({ action: 'next-tier' }, 'rule')

/** Random rules, then often one that takes all the rest, or else nothing would ever pass. */
const rules = fc
  .tuple(fc.array(rule, { maxLength: 4 }), fc.constantFrom<Rule[]>([], [], [ALL], [ALL], [NEXT]))
  .map(([some, last]) => [...some, ...last])
const ruleSet: fc.Arbitrary<RuleSet> = fc.record({ inbound: rules, outbound: rules })

const value = fc.constantFrom(undefined, 'x', 'y')
const labels: fc.Arbitrary<Record<string, string>> = fc.record({ a: value, b: value }).map(({ a, b }) => ({
  ...(a === undefined ? {} : { a }),
  ...(b === undefined ? {} : { b }),
}))
const profiles = fc.subarray(PROFILES).chain(names => fc.shuffledSubarray(names, { minLength: names.length }))
const order = fc.constantFrom(1, 2, Number.POSITIVE_INFINITY)

function endpoint(id: string): fc.Arbitrary<WorkloadEndpoint> {
  const at = LOCALS.indexOf(id)
  const home = at < 0 ? FAR : [ADDRESSES4[at]!, ADDRESSES6[at]!]
  const everywhere = [...ADDRESSES4, ...ADDRESSES6, ...FAR]
  return fc
    .record({
      home: weighted([5, fc.constant(home)], [2, fc.subarray(home)]),
      strange: weighted([6, fc.constant<string[]>([])], [1, fc.subarray(everywhere, { maxLength: 2 })]),
      interface: weighted<string | null>(
        [8, fc.constant(INTERFACES[at] ?? 'eth0')],
        [1, fc.constantFrom(...INTERFACES)],
        [2, fc.constant(null)],
      ),
      mac: fc.constantFrom(null, null, null, 'ee:ee:ee:ee:ee:01'),
      profiles,
      labels,
      active: fc.constantFrom(true, true, true, true, true, true, false),
    })
    .map(({ home, strange, interface: name, mac, profiles, labels, active }) => {
      const addresses = [...new Set([...home, ...strange])]
      const words = { addresses, profiles, labels, active }
      return { ...endpointValue(id, words), interface: name, mac }
    })
}

type Value<Kind extends ModelChange['kind']> = Extract<ModelChange, { kind: Kind }>['value']

function change<Kind extends ModelChange['kind']>(
  kind: Kind,
  ids: readonly string[],
  value: (id: string) => fc.Arbitrary<Value<Kind>>,
): fc.Arbitrary<ModelChange> {
  return fc
    .constantFrom(...ids)
    .chain(id => value(id).map(chosen => ({ kind, id, value: chosen }) as ModelChange))
}

const gone = fc.constant(null)
const unreadable = fc.constant(broken({}))

function known<Remains>(arbitrary: fc.Arbitrary<Remains>): fc.Arbitrary<Remains | undefined> {
  return fc.option(arbitrary, { nil: undefined, freq: 2 })
}

function present<Fields extends object>(fields: Fields): object {
  return Object.fromEntries(Object.entries(fields).filter(([, each]) => each !== undefined))
}

const brokenEndpoint = fc.record({ labels: known(labels), profiles: known(profiles) }).map(remains =>
  broken(
    present({
      labels: remains.labels && new Map(Object.entries(remains.labels)),
      profiles: remains.profiles,
    }),
  ),
)
const selector = fc.constantFrom(...SELECTORS).map(parseSelector)
const brokenPolicy = fc
  .record({ selector: optional(selector), order: optional(order) })
  .map(remains => broken(present(remains)))
const policy = fc
  .tuple(ruleSet, selector, order)
  .map(([set, chosen, place]) => ({ ...set, selector: chosen, order: place }))
const labelMap: fc.Arbitrary<ReadonlyMap<string, string>> = labels.map(
  words => new Map(Object.entries(words)),
)
const POLICIES = TIERS.flatMap(tier => [`${tier}/one`, `${tier}/two`])

/** One change of the model, of any kind, broken and gone ones too. */
export const anyChange: fc.Arbitrary<ModelChange> = weighted(
  [
    6,
    change('workload-endpoint', [...LOCALS, ...REMOTES], id =>
      weighted<Value<'workload-endpoint'>>([6, endpoint(id)], [1, brokenEndpoint], [1, gone]),
    ),
  ],
  [5, change('policy', POLICIES, () => weighted<Value<'policy'>>([6, policy], [1, brokenPolicy], [1, gone]))],
  [
    3,
    change('profile-rules', PROFILES, () =>
      weighted<Value<'profile-rules'>>([6, ruleSet], [1, unreadable], [1, gone]),
    ),
  ],
  [
    2,
    change('profile-tags', PROFILES, () =>
      weighted<Value<'profile-tags'>>([6, fc.subarray(TAGS)], [1, unreadable], [1, gone]),
    ),
  ],
  [
    2,
    change('profile-labels', PROFILES, () =>
      weighted<Value<'profile-labels'>>([6, labelMap], [1, unreadable], [1, gone]),
    ),
  ],
  [
    2,
    change('tier', TIERS.slice(0, 2), () =>
      weighted<Value<'tier'>>([6, order.map(place => ({ order: place }))], [1, unreadable], [1, gone]),
    ),
  ],
)

/** A node on which traffic flows: enough is there and readable for the rest to matter. */
export const settledNode: fc.Arbitrary<ModelChange[]> = fc
  .record({
    endpoints: fc.tuple(...[...LOCALS, ...REMOTES].map(endpoint)),
    rules: fc.tuple(...PROFILES.map(() => ruleSet)),
    tags: fc.tuple(...PROFILES.map(() => fc.subarray(TAGS))),
    labels: fc.tuple(...PROFILES.map(() => labelMap)),
    policies: fc.tuple(...POLICIES.map(() => fc.option(policy, { nil: null }))),
  })
  .map(({ endpoints, rules, tags, labels, policies }): ModelChange[] => [
    ...PROFILES.flatMap((id, at): ModelChange[] => [
      { kind: 'profile-rules', id, value: rules[at]! },
      { kind: 'profile-tags', id, value: tags[at]! },
      { kind: 'profile-labels', id, value: labels[at]! },
    ]),
    { kind: 'tier', id: 'front', value: { order: 1 } },
    { kind: 'tier', id: 'back', value: { order: 2 } },
    ...policies.map((value, at): ModelChange => ({ kind: 'policy', id: POLICIES[at]!, value })),
    ...[...LOCALS, ...REMOTES].map(
      (id, at): ModelChange => ({ kind: 'workload-endpoint', id, value: endpoints[at]! }),
    ),
  ])

/** Endpoints enough to split the dispatch trees; only a few of them are ever asked about. */
export const crowd: ModelChange[] = Array.from({ length: 40 }, (_, at) => {
  const id = `${HERE}/k/crowd${at}/e`
  const words = { addresses: [`10.0.0.${at + 20}`, `fd00::${(at + 20).toString(16)}`], profiles: ['p'] }
  return {
    kind: 'workload-endpoint',
    id,
    value: { ...endpointValue(id, words), interface: `veth${at + 20}` },
  }
})
