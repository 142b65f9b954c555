import * as fc from 'fast-check'
import { decodeRule } from '../../../src/model/rule.ts'
import { parseSelector } from '../../../src/model/selector.ts'
import type { ModelChange, Rule, RuleSet } from '../../../src/model/values.ts'
import type { Packet } from '../../../src/policy/outcome.ts'
import { broken, endpointValue } from './world.ts'

/** Changes of a small world, in which everything meets everything. */

const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.129', 'fd00::1', 'fd00::8001']
const ENDPOINTS = ['here/k/a/e', 'there/k/d/e', 'here/k/b/e', 'here/k/c/e', 'there/k/f/e']
const PROFILES = ['p', 'q', 'r']
const TAGS = ['s', 't']
const TIERS = ['front', 'back', 'bare']
export const SELECTORS = [
  'all()',
  "a == 'x'",
  "a != 'x'",
  'has(b)',
  '!has(b)',
  "a == 'x' && b == 'x'",
  "a == 'y' || has(b)",
  "a in {'x','y'} && b not in {'x'}",
]

/** Mostly absent: a rule that asks for everything matches nothing, and tells nothing. */
function optional<Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

const match = (sign: string) =>
  fc
    .record({
      protocol: optional(fc.constantFrom('tcp', 'udp', 'icmp', 'icmpv6', 47)),
      src_tag: optional(fc.constantFrom(...TAGS)),
      dst_tag: optional(fc.constantFrom(...TAGS)),
      src_selector: optional(fc.constantFrom(...SELECTORS)),
      dst_selector: optional(fc.constantFrom(...SELECTORS)),
      src_net: optional(fc.constantFrom('10.0.0.0/24', '10.0.0.0/25', '10.0.0.1', '0.0.0.0/0', 'fd00::/64')),
      dst_net: optional(
        fc.constantFrom('10.0.0.0/24', '10.0.0.128/25', 'fd00::/64', 'fd00::8000/113', '::/0'),
      ),
      src_ports: optional(fc.constantFrom([1000], ['0:65535'], [1, '900:2000'])),
      dst_ports: optional(fc.constantFrom([80], [80, 443], ['79:81'])),
      icmp_type: optional(fc.constantFrom(8, 128)),
      icmp_code: optional(fc.constantFrom(0, 1)),
    })
    .map(fields =>
      Object.fromEntries(
        Object.entries(fields)
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => [sign + name, value]),
      ),
    )

/** A rule that the model accepts; where random fields clash, a plain one. */
export const rule: fc.Arbitrary<Rule> = fc
  .tuple(
    fc.constantFrom('allow', 'allow', 'deny', 'deny', 'next-tier', 'log'),
    match(''),
    match('!'),
    fc.constantFrom(undefined, 4, 6),
  )
  .map(([action, is, not, version]) => {
    const words = { action, ...(version === undefined ? {} : { ip_version: version }) }
    for (const fields of [{ ...is, ...not }, is, not, {}]) {
      try {
        return decodeRule({ ...words, ...fields }, 'rule')
      } catch {}
    }
    throw new Error('a rule without fields is refused')
  })

const ruleSet: fc.Arbitrary<RuleSet> = fc.record({
  inbound: fc.array(rule, { maxLength: 3 }),
  outbound: fc.array(rule, { maxLength: 3 }),
})

const value = fc.constantFrom(undefined, 'x', 'y')
const labels: fc.Arbitrary<Record<string, string>> = fc.record({ a: value, b: value }).map(({ a, b }) => ({
  ...(a === undefined ? {} : { a }),
  ...(b === undefined ? {} : { b }),
}))
const profiles = fc.subarray(PROFILES).chain(names => fc.shuffledSubarray(names, { minLength: names.length }))
const order = fc.constantFrom(1, 2, Number.POSITIVE_INFINITY)

function whole<Value>(value: fc.Arbitrary<Value>, bad: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> {
  return fc.oneof(
    { weight: 6, arbitrary: value },
    { weight: 1, arbitrary: bad },
    { weight: 1, arbitrary: fc.constant(null) },
  )
}

function change<Kind extends ModelChange['kind']>(
  kind: Kind,
  ids: readonly string[],
  value: (id: string) => fc.Arbitrary<Extract<ModelChange, { kind: Kind }>['value']>,
): fc.Arbitrary<ModelChange> {
  return fc
    .constantFrom(...ids)
    .chain(id => value(id).map(chosen => ({ kind, id, value: chosen }) as ModelChange))
}

const unreadable = fc.constant(broken({}))

const endpointChange = change('workload-endpoint', ENDPOINTS, id =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .record({
          addresses: fc.subarray(ADDRESSES, { maxLength: 2 }),
          profiles,
          labels,
          active: fc.constantFrom(true, true, true, false),
        })
        .map(words => endpointValue(id, words)),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.option(labels, { nil: undefined, freq: 2 }),
          fc.option(profiles, { nil: undefined, freq: 2 }),
        )
        .map(([known, names]) =>
          broken({
            ...(known === undefined ? {} : { labels: new Map(Object.entries(known)) }),
            ...(names === undefined ? {} : { profiles: names }),
          }),
        ),
    },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
)

const policyChange = change(
  'policy',
  TIERS.flatMap(tier => [`${tier}/one`, `${tier}/two`]),
  () =>
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc
          .tuple(ruleSet, fc.constantFrom(...SELECTORS), order)
          .map(([set, selector, place]) => ({ ...set, selector: parseSelector(selector), order: place })),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(optional(fc.constantFrom(...SELECTORS)), optional(order))
          .map(([selector, place]) =>
            broken({
              ...(selector === undefined ? {} : { selector: parseSelector(selector) }),
              ...(place === undefined ? {} : { order: place }),
            }),
          ),
      },
      { weight: 1, arbitrary: fc.constant(null) },
    ),
)

/** What could not be read; what remains is random, so it need not be what was there. */
export const breakage: fc.Arbitrary<ModelChange> = fc.oneof(
  endpointChange.filter(({ value }) => value !== null && typeof value === 'object' && 'broken' in value),
  change('profile-tags', PROFILES, () => unreadable),
  change('profile-labels', PROFILES, () => unreadable),
)

export const anyChange: fc.Arbitrary<ModelChange> = fc.oneof(
  { weight: 5, arbitrary: endpointChange },
  { weight: 5, arbitrary: policyChange },
  { weight: 3, arbitrary: change('profile-rules', PROFILES, () => whole(ruleSet, unreadable as never)) },
  {
    weight: 2,
    arbitrary: change('profile-tags', PROFILES, () => whole(fc.subarray(TAGS), unreadable as never)),
  },
  {
    weight: 2,
    arbitrary: change('profile-labels', PROFILES, () =>
      whole(
        labels.map(words => new Map(Object.entries(words)) as ReadonlyMap<string, string>),
        unreadable as never,
      ),
    ),
  },
  {
    weight: 2,
    arbitrary: change('tier', TIERS.slice(0, 2), () =>
      whole(
        order.map(place => ({ order: place })),
        unreadable as never,
      ),
    ),
  },
)

/** What no rule before decides is allowed, so that profiles decide something at all. */
function openEnded({ inbound, outbound }: RuleSet): RuleSet {
  const rest = decodeRule({}, 'rule')
  return { inbound: [...inbound, rest], outbound: [...outbound, rest] }
}

/** A world in which traffic flows: enough is there and readable for the rest to matter. */
export const settledWorld: fc.Arbitrary<ModelChange[]> = fc
  .tuple(
    fc.array(fc.tuple(ruleSet, ruleSet, fc.subarray(TAGS), labels, labels), { minLength: 3, maxLength: 3 }),
    // None that picks all: endpoints without any policy are left to their profiles.
    fc.array(fc.constantFrom("a == 'x'", "b == 'y'", 'has(b)'), { minLength: 3, maxLength: 3 }),
    fc.array(fc.shuffledSubarray(PROFILES, { minLength: 1 }), { minLength: 3, maxLength: 3 }),
  )
  .map(([parts, selectors, named]) =>
    parts.flatMap(([profileRules, policyRules, tags, inherited, own], at): ModelChange[] => {
      const id = ENDPOINTS[at]!
      const words = { addresses: [ADDRESSES[at]!, ADDRESSES[at + 2]!], labels: own, profiles: named[at]! }
      const selector = parseSelector(selectors[at]!)
      return [
        { kind: 'profile-rules', id: PROFILES[at]!, value: at < 2 ? openEnded(profileRules) : profileRules },
        { kind: 'profile-tags', id: PROFILES[at]!, value: tags },
        { kind: 'profile-labels', id: PROFILES[at]!, value: new Map(Object.entries(inherited)) },
        { kind: 'tier', id: TIERS[at % 2]!, value: { order: at } },
        { kind: 'policy', id: `${TIERS[at % 2]}/${at}`, value: { ...policyRules, selector, order: at } },
        { kind: 'workload-endpoint', id, value: endpointValue(id, words) },
      ]
    }),
  )

export const packet: fc.Arbitrary<Packet> = fc.constantFrom(4 as const, 6 as const).chain(family => {
  const addresses = [...ADDRESSES, '192.0.2.1', '2001:db8::1'].filter(
    each => each.includes(':') === (family === 6),
  )
  const address = fc.constantFrom(...addresses)
  const path = fc.constantFrom(
    'forward' as const,
    'forward' as const,
    'to-node' as const,
    'from-node' as const,
  )
  const ports = { sourcePort: fc.constantFrom(1000, 3000), destinationPort: fc.constantFrom(80, 443, 53) }
  const base = { family: fc.constant(family), path, source: address, destination: address }
  return fc.oneof(
    fc.record({ ...base, protocol: fc.constantFrom(6, 17), ...ports }),
    fc.record({ ...base, protocol: fc.constant(47) }),
    fc.record({
      ...base,
      protocol: fc.constantFrom(family === 4 ? 1 : 58),
      icmpType: fc.constantFrom(8, 128),
      icmpCode: fc.constantFrom(0, 1),
    }),
  )
})
