import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import type { ModelChange, Policy, WorkloadEndpoint } from '../../src/model/values.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { Packet } from '../../src/policy/outcome.ts'
import { judge, permits } from '../../src/policy/verdict.ts'
import { anyChange, packet, settledWorld } from './support/random-world.ts'
import {
  broken,
  brokenPart,
  brokenPolicy,
  endpoint,
  HERE,
  idOf,
  keyOf,
  labels,
  policy,
  type Rules,
  rules,
  tags,
  tier,
} from './support/world.ts'

const SETTINGS = { nodeToWorkload: 'policy', workloadToNode: 'allow', from: 'elsewhere' } as const
const FRIEND = '10.0.1.1'
const FOE = '10.0.1.2'
const STRANGER = '192.0.2.1'

/** A packet to the endpoint `web`, from outside. */
function toWeb(source: string, destinationPort = 80): Packet {
  return {
    family: 4,
    path: 'forward',
    source,
    destination: '10.0.0.1',
    protocol: 6,
    sourcePort: 1000,
    destinationPort,
  }
}

/** Who of the three reaches `web` on port 80, and then those who reach it on port 81. */
function reachable(...changes: readonly ModelChange[]): string {
  const engine = new PolicyEngine(HERE)
  for (const change of changes) engine.update(change)
  const names = { friend: FRIEND, foe: FOE, stranger: STRANGER }
  const who = (port: number) =>
    Object.entries(names)
      .filter(([, address]) => judge(engine, toWeb(address, port), { ...SETTINGS, to: 'workload' }).allow)
      .map(([name]) => name)
      .join(' ')
  return `${who(80)} | ${who(81)}`
}

const EVERYBODY = 'friend foe stranger | friend foe stranger'
const NOBODY = ' | '

const web = endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p'], labels: { role: 'web' } })
const friend = endpoint('there/friend', { addresses: [FRIEND], profiles: ['f'], labels: { kind: 'friend' } })
const foe = endpoint('there/foe', { addresses: [FOE], profiles: ['g'], labels: { kind: 'foe' } })
const base = [web, friend, foe, rules('p', [{}]), tags('f', 'friend'), tags('g', 'foe'), tier('t', 1)]

function tierWith(...inbound: Rules): ModelChange {
  return policy('t/x', "role == 'web'", inbound)
}

t.test('an endpoint that cannot be read gets no traffic', async t => {
  t.equal(reachable(...base), EVERYBODY)
  t.equal(reachable(...base, endpoint('web', broken({}))), NOBODY)
  const engine = new PolicyEngine(HERE)
  for (const change of [...base, endpoint('web', broken({ labels: new Map(), profiles: ['p'] }))])
    engine.update(change)
  t.equal(engine.endpoint(idOf('web')), undefined)
  const sent = { ...toWeb('10.0.0.1'), destination: STRANGER }
  const verdict = judge(engine, sent, { ...SETTINGS, from: 'workload' })
  t.match(verdict, { allow: false, by: 'unknown source' }, 'and sends none')
})

t.test('a profile closes the endpoints that name it', async t => {
  t.equal(reachable(...base, brokenPart('profile-rules', 'p')), NOBODY, 'by its rules')
  t.equal(reachable(...base, brokenPart('profile-labels', 'p')), NOBODY, 'by its labels')
  const both = endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p', 'q'], labels: { role: 'web' } })
  t.equal(reachable(...base, both, rules('q', [])), EVERYBODY)
  t.equal(
    reachable(...base, both, brokenPart('profile-rules', 'q')),
    NOBODY,
    'also after one that would allow',
  )
  const absent = endpoint('web', {
    addresses: ['10.0.0.1'],
    profiles: ['none', 'p'],
    labels: { role: 'web' },
  })
  t.equal(reachable(...base, absent), NOBODY, 'a profile without rules, and none after it')
})

t.test('a policy denies at its place in its tier for what its selector picks', async t => {
  const before = policy('t/a', 'all()', [{ protocol: 'tcp', dst_ports: [80] }], [], 1)
  const bad = brokenPolicy('t/b', { selector: "role == 'web'", order: 2 })
  const after = policy('t/c', 'all()', [{}], [], 3)
  t.equal(reachable(...base, before, after), EVERYBODY)
  t.equal(reachable(...base, before, bad, after), 'friend foe stranger | ', 'what is before it decides')
  const unplaced = brokenPolicy('t/b', { selector: "role == 'web'" })
  t.equal(reachable(...base, before, unplaced, after), NOBODY, 'without a known order it is the first')
  const others = brokenPolicy('t/b', { selector: "role == 'db'", order: 0 })
  t.equal(reachable(...base, before, others, after), EVERYBODY, 'others feel nothing')
})

t.test('a policy with an unreadable selector denies for every endpoint', async t => {
  t.equal(reachable(...base, brokenPolicy('t/b', { order: 2 })), NOBODY)
  t.equal(
    reachable(...base, policy('t/a', 'all()', [{}], [], 1), brokenPolicy('t/b', { order: 2 })),
    EVERYBODY,
  )
})

t.test('the policies of an unreadable tier deny what they select, before all other tiers', async t => {
  const open = [tier('early', Number.NEGATIVE_INFINITY), policy('early/x', 'all()', [{}])]
  t.equal(reachable(...base, ...open, tierWith({})), EVERYBODY)
  const unreadable = [...base, tier('u', 1), policy('a/x', 'all()', [{}]), brokenPart('tier', 'a')]
  t.equal(reachable(...unreadable, tier('early', 1), policy('early/x', 'all()', [{}])), NOBODY)
  t.equal(reachable(...base, brokenPart('tier', 'a'), policy('a/x', "role == 'db'", [])), EVERYBODY)
})

/** Each way in which sets can lack the friend, with what they still hold. */
const lacking: readonly [name: string, changes: readonly ModelChange[], set: object, negated: object][] = [
  ['tags', [brokenPart('profile-tags', 'f')], { src_tag: 'friend' }, { '!src_tag': 'friend' }],
  [
    'all of an endpoint',
    [endpoint('there/friend', broken({}))],
    { src_tag: 'friend' },
    { '!src_tag': 'friend' },
  ],
  [
    'an endpoint but its profiles',
    [endpoint('there/friend', broken({ profiles: ['f'] }))],
    { src_tag: 'friend' },
    { '!src_tag': 'friend' },
  ],
  [
    'an endpoint but its labels',
    [endpoint('there/friend', broken({ labels: new Map([['kind', 'friend']]) }))],
    { src_selector: "kind == 'friend'" },
    { '!src_selector': "kind == 'friend'" },
  ],
  [
    'an endpoint but labels that another profile may add to',
    [endpoint('there/friend', broken({ labels: new Map() }))],
    { src_selector: "kind == 'friend'" },
    { '!src_selector': "kind == 'friend'" },
  ],
  [
    'labels of a profile',
    [endpoint('there/friend', { addresses: [FRIEND], profiles: ['f'] }), brokenPart('profile-labels', 'f')],
    { src_selector: "kind == 'friend'" },
    { '!src_selector': "kind == 'friend'" },
  ],
]

for (const [name, changes, set, negated] of lacking)
  t.test(`sets may lack members for want of ${name}`, async t => {
    const world = [...base, ...changes]
    const among = (...inbound: Rules) => reachable(...world, tierWith(...inbound))
    t.equal(among(set), NOBODY, 'a positive match in an allow uses the set as it is')
    t.equal(among(negated), NOBODY, 'a negated match in an allow matches nothing')
    t.equal(among({ action: 'deny', ...set }, {}), NOBODY, 'a deny denies all')
    t.equal(among({ action: 'deny', ...negated }, {}), NOBODY, 'so does one with a negated match')
    const narrow = { action: 'deny', protocol: 'tcp', dst_ports: [81] }
    t.equal(among({ ...narrow, ...set }, {}), 'friend foe stranger | ', '... that its other matches cover')
    t.equal(among({ ...narrow, ...negated }, {}), 'friend foe stranger | ', '... negated too')
    t.equal(
      among({ action: 'next-tier', ...set }, {}),
      NOBODY,
      'a next-tier that might match must not let a later rule of the tier allow',
    )
    t.equal(
      among({ action: 'next-tier', ...negated }, {}),
      NOBODY,
      'nor a negated one, and it passes nobody on',
    )
    const certain = { ...set, ...('src_tag' in set ? { src_tag: 'foe' } : { src_selector: "kind == 'foe'" }) }
    t.equal(among(certain), 'foe | foe', 'members that are known stay')
  })

t.test('a set is complete when what cannot be read surely is not in it', async t => {
  const kind = (value: string) =>
    endpoint('there/friend', broken({ labels: new Map([['kind', value]]), profiles: ['f'] }))
  const denyFoes = tierWith({ action: 'deny', src_selector: "kind == 'foe'" }, {})
  t.equal(reachable(...base, kind('friend'), denyFoes), 'friend stranger | friend stranger')
  t.equal(reachable(...base, kind('foe'), denyFoes), NOBODY)
  const unknownProfiles = endpoint('there/friend', broken({ labels: new Map([['kind', 'friend']]) }))
  t.equal(
    reachable(...base, unknownProfiles, denyFoes),
    'friend stranger | friend stranger',
    'its own label wins over any that a profile could give it',
  )
  const inherits = endpoint('there/friend', broken({ labels: new Map(), profiles: ['f', 'h'] }))
  t.equal(
    reachable(
      ...base,
      inherits,
      labels('f', { kind: 'friend' }),
      brokenPart('profile-labels', 'h'),
      denyFoes,
    ),
    'friend stranger | friend stranger',
    'so does that of a profile named before the one that cannot be read',
  )
  t.equal(
    reachable(
      ...base,
      inherits,
      labels('h', { kind: 'friend' }),
      brokenPart('profile-labels', 'f'),
      denyFoes,
    ),
    NOBODY,
    'but not that of one named after it',
  )
})

t.test('repair opens again, and so does taking away', async t => {
  const deny = tierWith({ action: 'deny', src_tag: 'foe' }, {})
  const open = 'friend stranger | friend stranger'
  t.equal(reachable(...base, deny, brokenPart('profile-tags', 'f')), NOBODY)
  t.equal(reachable(...base, deny, brokenPart('profile-tags', 'f'), tags('f')), open)
  t.equal(reachable(...base, deny, endpoint('there/x', broken({})), endpoint('there/x', null)), open)
})

/** The same value, unreadable: what remains is true, and need not be all. */
function breakOf(change: ModelChange, keep: readonly [boolean, boolean]): ModelChange {
  const remains: Record<string, unknown> = {}
  const [first, second] = keep
  if (change.kind === 'workload-endpoint') {
    const { labels: own, profiles } = change.value as WorkloadEndpoint
    if (first) remains.labels = own
    if (second) remains.profiles = profiles
  } else if (change.kind === 'policy') {
    const { selector, order } = change.value as Policy
    if (first) remains.selector = selector
    if (second) remains.order = order
  }
  return { ...change, value: broken(remains) } as ModelChange
}

t.test('whatever becomes unreadable, nothing passes that did not pass before', async t => {
  let closed = 0
  fc.assert(
    fc.property(
      settledWorld,
      fc.array(anyChange, { maxLength: 12 }),
      fc.array(fc.tuple(fc.nat(), fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 3 }),
      fc.array(packet, { minLength: 60, maxLength: 60 }),
      (start, changes, breaks, packets) => {
        const good = new Map<string, ModelChange>()
        for (const change of [...start, ...changes])
          if (change.value !== null && !('broken' in (change.value as object)))
            good.set(keyOf(change), change)
        const engine = new PolicyEngine(HERE)
        const damaged = new PolicyEngine(HERE)
        for (const change of good.values()) {
          engine.update(change)
          damaged.update(change)
        }
        const all = [...good.values()]
        for (const [at, ...keep] of breaks) damaged.update(breakOf(all[at % all.length]!, keep))
        for (const each of packets) {
          const [sender] = engine.localByAddress(each.source)
          const [receiver] = engine.localByAddress(each.destination)
          // A node's packet to an address that is not known to be a workload's is none of the policy's business.
          if (each.path === 'from-node' && damaged.localByAddress(each.destination).length === 0) continue
          const named = {
            ...each,
            ...(sender === undefined ? {} : { sourceEndpoint: sender.id }),
            ...(receiver === undefined ? {} : { destinationEndpoint: receiver.id }),
          }
          const options = {
            nodeToWorkload: 'policy',
            workloadToNode: 'allow',
            from: sender === undefined ? 'elsewhere' : 'workload',
            to: receiver === undefined ? 'elsewhere' : 'workload',
          } as const
          const passed = permits(engine, named, options)
          const { allow, by } = judge(damaged, named, options)
          if (passed && !allow) closed++
          assert.ok(passed || !allow, `${JSON.stringify(named)} passes by ${by}`)
        }
      },
    ),
    { numRuns: 300 },
  )
  t.ok(closed > 200, `something closes often enough to tell: ${closed}`)
})
