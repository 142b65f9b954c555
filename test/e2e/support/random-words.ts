import * as fc from 'fast-check'
import type { LabPod } from '../../../src/lab/pod.ts'
import {
  type EndpointWords,
  endpointKey,
  type PolicyWords,
  type ProfileWords,
  type RuleObject,
  type WorldWords,
  worldEntries,
} from '../../../src/lab/world.ts'
import { decodeRule } from '../../../src/model/rule.ts'

const PROFILES = ['p', 'q', 'r'] as const
const TAGS = ['s', 't']
const SELECTORS = [
  'all()',
  "a == 'x'",
  "a != 'x'",
  'has(b)',
  '!has(b)',
  "a == 'y' || b == 'x'",
  "a in {'x'} && has(b)",
]
/** Ports of a client are either all in a range or all outside it, since nobody chooses them. */
const CLIENT_PORTS = [['1:2000'], ['30000:65535'], [7, '20000:65535']]
const SERVER_PORTS = [
  [80],
  [443, 53],
  ['50:100'],
  [80, 443, ...Array.from({ length: 16 }, (_, at) => 3000 + at)],
]
const NETS = [
  '10.65.1.0/24',
  '10.66.0.0/16',
  '10.65.0.0/16',
  '0.0.0.0/0',
  'fd65:0:0:1::/64',
  'fd66::/16',
  '::/0',
]

/** Mostly absent: a rule that asks for everything matches nothing, and tells nothing. */
function seldom<Value>(arbitrary: fc.Arbitrary<Value>, every: number): fc.Arbitrary<Value | undefined> {
  return fc.oneof({ weight: every - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

const match = (sign: '' | '!', every: number): fc.Arbitrary<RuleObject> =>
  fc
    .record({
      protocol: seldom(fc.constantFrom('tcp', 'udp', 'icmp', 'icmpv6'), every),
      src_tag: seldom(fc.constantFrom(...TAGS), every),
      dst_tag: seldom(fc.constantFrom(...TAGS), every),
      src_selector: seldom(fc.constantFrom(...SELECTORS), every),
      dst_selector: seldom(fc.constantFrom(...SELECTORS), every),
      src_net: seldom(fc.constantFrom(...NETS), every),
      dst_net: seldom(fc.constantFrom(...NETS), every),
      src_ports: seldom(fc.constantFrom(...CLIENT_PORTS), every),
      dst_ports: seldom(fc.constantFrom(...SERVER_PORTS), every),
    })
    .map(fields =>
      Object.fromEntries(
        Object.entries(fields)
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => [sign + name, value]),
      ),
    )

/** A rule that the model accepts; where random fields clash, one of their halves. */
const rule: fc.Arbitrary<RuleObject> = fc
  .tuple(
    fc.constantFrom('allow', 'allow', 'allow', 'deny', 'deny', 'next-tier', 'log'),
    match('', 4),
    match('!', 8),
    seldom(fc.constantFrom(4, 6), 8),
  )
  .map(([action, is, not, version]) => {
    const words = { action, ...(version === undefined ? {} : { ip_version: version }) }
    const tcp = { protocol: 'tcp' }
    const tries = [{ ...is, ...not }, { ...tcp, ...is, ...not }, is, not, { ...tcp, ...is }, {}]
    return tries
      .map(fields => ({ ...words, ...fields }))
      .find(fields => {
        try {
          return decodeRule(fields, 'rule')
        } catch {
          return false
        }
      })!
  })

const rules = (maxLength: number) => fc.array(rule, { maxLength })
const ending = (last: RuleObject) => rules(3).map(list => [...list, last])
/** Mostly open, else nearly every pair would be denied by its sender already. */
const outbound = fc.oneof(
  { weight: 4, arbitrary: fc.constant([{}]) },
  { weight: 3, arbitrary: ending({}) },
  { weight: 1, arbitrary: rules(3) },
)
const inbound = fc.oneof({ weight: 2, arbitrary: ending({}) }, { weight: 3, arbitrary: rules(4) })
const passing = fc.oneof(
  { weight: 3, arbitrary: ending({ action: 'next-tier' }) },
  { weight: 1, arbitrary: rules(3) },
)

const labels = fc
  .record({ a: fc.constantFrom(undefined, 'x', 'y'), b: fc.constantFrom(undefined, 'x', 'y') })
  .map(({ a, b }) => ({ ...(a && { a }), ...(b && { b }) }))

const profile: fc.Arbitrary<ProfileWords> = fc.record({
  tags: fc.subarray(TAGS),
  labels,
  inbound,
  outbound,
})

const policy: fc.Arbitrary<PolicyWords> = fc.record({
  selector: fc.constantFrom(...SELECTORS),
  order: fc.constantFrom(1, 2, 'default' as const),
  inbound: passing,
  outbound: fc.oneof(
    { weight: 2, arbitrary: fc.constant([{ action: 'next-tier' }]) },
    { weight: 1, arbitrary: passing },
  ),
})

const tiers = fc.dictionary(
  fc.constantFrom('front', 'back'),
  fc.record({
    order: fc.constantFrom(1, 2, 'default' as const),
    policies: fc.dictionary(fc.constantFrom('one', 'two', 'three'), policy, { minKeys: 1, maxKeys: 3 }),
  }),
  { maxKeys: 2 },
)

const endpoint = (pod: LabPod): fc.Arbitrary<EndpointWords[]> =>
  fc
    .record({
      profiles: fc.shuffledSubarray([...PROFILES], { minLength: 1, maxLength: 2 }),
      labels,
      state: fc.constantFrom('active', ...Array(9).fill('active'), 'inactive') as fc.Arbitrary<
        'active' | 'inactive'
      >,
      bridgeOnly: pod.kind === 'bridge' ? fc.boolean() : fc.constant(false),
      there: fc.integer({ min: 1, max: 12 }),
    })
    .map(({ there, ...words }) => (there === 1 ? [] : [{ pod, ...words }]))

/** A store for these pods; in some of them a value or two cannot be read. */
export function randomWorld(pods: readonly LabPod[]): fc.Arbitrary<WorldWords> {
  const whole = fc.record({
    endpoints: fc.tuple(...pods.map(endpoint)).map(each => each.flat()),
    profiles: fc.record({ p: profile, q: profile, r: profile }, { noNullPrototype: true }),
    tiers,
  })
  const broken = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.infiniteStream(fc.nat()))
  return fc.tuple(whole, broken).map(([world, [count, numbers]]) => {
    const keys = [...worldEntries({ ...world, ready: null }).keys(), endpointKey(pods[0]!)]
    const raw = Object.fromEntries(
      Array.from({ length: count }, () => [keys[numbers.next().value! % keys.length]!, '{"order":1}']),
    )
    return { ...world, raw }
  })
}
