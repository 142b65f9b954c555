import t from 'tap'
import type { ModelChange } from '../../src/model/values.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { PolicyDelta, PolicyStack } from '../../src/policy/outcome.ts'
import { Mirror } from './support/mirror.ts'
import { Oracle } from './support/oracle.ts'
import {
  brokenPart,
  brokenPolicy,
  endpoint,
  gone,
  HERE,
  idOf,
  keyOf,
  labels,
  policy,
  rules,
  tags,
  tier,
} from './support/world.ts'

interface State {
  readonly name: string
  readonly changes: readonly ModelChange[]
  /** What must hold in this state, written by hand. */
  readonly expected: readonly string[]
}

function state(name: string, changes: readonly ModelChange[], expected: readonly string[]): State {
  return { name, changes, expected }
}

/** `base` with some of its values replaced, and others added. */
function but(base: State, name: string, changes: readonly ModelChange[], expected: readonly string[]): State {
  const kept = base.changes.filter(change => !changes.some(other => keyOf(other) === keyOf(change)))
  return state(name, [...kept, ...changes.filter(({ value }) => value !== null)], expected)
}

function stackText({ tiers, profiles }: PolicyStack): string {
  const short = (id: string) => id.split(':')[1]!
  const stages = tiers.map(({ name, lists }) => `${name}[${lists.map(short).join(' ')}]`)
  return [...stages, ...profiles.map(short)].join(' ')
}

/** A mirror's knowledge in lines: endpoints with what reaches them, closed lists, sets. */
function lines(mirror: Mirror): string[] {
  const endpoints = [...mirror.endpoints.values()].map(
    ({ id, closed, ingress }) => `${id.split('/')[2]}: ${closed ?? stackText(ingress)}`,
  )
  const closed = [...mirror.lists.values()].flatMap(({ id, closed }) =>
    closed !== null && id.endsWith('inbound') ? [`closed ${id.split(':')[1]}`] : [],
  )
  const sets = Array.from(mirror.sets, ([id, members]) => `${id} = ${[...members].sort().join(' ')}`)
  return [...endpoints, ...closed, ...sets].map(line => line.trim()).sort()
}

const none = state('nothing', [], [])

const alone = state(
  'one endpoint',
  [
    endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p'] }),
    rules('p', [{ src_tag: 't' }]),
    tags('p', 't'),
  ],
  ['web: p', 'tag:t = 10.0.0.1'],
)

const remoteOnly = state(
  'an endpoint of another node',
  [endpoint('there/web', { addresses: ['10.0.1.1'], profiles: ['p'] }), rules('p', [{ src_tag: 't' }])],
  [],
)

const cluster = but(
  alone,
  'others carry the tag, one of them twice, one with the same address',
  [
    endpoint('there/one', { addresses: ['10.0.1.1', 'fd00::1'], profiles: ['p', 'q'] }),
    endpoint('there/two', { addresses: ['10.0.1.1'], profiles: ['q'] }),
    endpoint('there/off', { addresses: ['10.0.1.3'], profiles: ['q'], active: false }),
    tags('q', 't', 'unused'),
  ],
  ['web: p', 'tag:t = 10.0.0.1 10.0.1.1 10.0.1.3 fd00::1'],
)

const oneOwnerLess = but(
  cluster,
  'one owner of an address goes',
  [gone(endpoint('there/one', {}))],
  ['web: p', 'tag:t = 10.0.0.1 10.0.1.1 10.0.1.3'],
)

const inherited = state(
  'labels come from profiles, own ones and then the first named win',
  [
    endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p', 'q'], labels: { own: 'web' } }),
    endpoint('there/one', { addresses: ['10.0.1.1'], profiles: ['p'] }),
    endpoint('there/two', { addresses: ['10.0.1.2'], profiles: ['q', 'p'] }),
    endpoint('there/three', { addresses: ['10.0.1.3'], profiles: ['p'], labels: { zone: 'own' } }),
    labels('p', { zone: 'p' }),
    labels('q', { zone: 'q' }),
    rules('p', [
      { src_selector: "zone == 'p'" },
      { src_selector: "zone == 'q'" },
      { src_selector: 'has(zone)' },
    ]),
    rules('q', [{ '!src_selector': "zone in {'p','q'}" }]),
  ],
  [
    'web: p q',
    'selector:has(zone) = 10.0.0.1 10.0.1.1 10.0.1.2 10.0.1.3',
    "selector:zone == 'p' = 10.0.0.1 10.0.1.1",
    "selector:zone == 'q' = 10.0.1.2",
    "selector:zone in {'p','q'} = 10.0.0.1 10.0.1.1 10.0.1.2",
  ],
)

const labelsMoved = but(
  inherited,
  'profile labels change',
  [labels('p', { zone: 'q' }), gone(labels('q', {}))],
  [
    'web: p q',
    'selector:has(zone) = 10.0.0.1 10.0.1.1 10.0.1.2 10.0.1.3',
    "selector:zone == 'p' =",
    "selector:zone == 'q' = 10.0.0.1 10.0.1.1 10.0.1.2",
    "selector:zone in {'p','q'} = 10.0.0.1 10.0.1.1 10.0.1.2",
  ],
)

const tiered = state(
  'tiers and policies in order',
  [
    endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p'], labels: { role: 'web' } }),
    rules('p', []),
    tier('late', 20),
    tier('default'),
    tier('b', 10),
    tier('a', 10),
    tier('empty', 1),
    policy('late/x', "role == 'web'", []),
    policy('late/second', 'all()', [], [], 2),
    policy('late/first', 'all()', [], [], 1),
    policy('default/x', 'has(role)', []),
    policy('a/x', '!has(other)', []),
    policy('b/x', 'all()', []),
    policy('empty/x', "role == 'db'", [{ src_tag: 'unused' }]),
    policy('ignored/x', 'all()', [{ src_tag: 'unused' }]),
  ],
  ['web: a[a/x] b[b/x] late[late/first late/second late/x] default[default/x] p'],
)

const reordered = but(
  tiered,
  'the order of a tier and of a policy changes',
  [tier('late', 5), policy('late/second', 'all()', [], [], 0), policy('b/x', "role == 'db'", [])],
  ['web: late[late/second late/first late/x] a[a/x] default[default/x] p'],
)

const relabelled = but(
  tiered,
  'the endpoint gets other labels',
  [endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p'], labels: { role: 'db', other: '' } })],
  ['web: empty[empty/x] b[b/x] late[late/first late/second] default[default/x] p', 'tag:unused ='],
)

const unreadable = but(
  tiered,
  'a tier, policies and their places cannot be read',
  [
    brokenPart('tier', 'b'),
    brokenPolicy('late/x'),
    brokenPolicy('late/first', { selector: "role == 'db'", order: 1 }),
    brokenPolicy('default/y', { selector: 'has(role)', order: 3 }),
  ],
  [
    'web: b[b/x] a[a/x] late[late/x late/second] default[default/y default/x] p',
    'closed b/x',
    'closed default/y',
    'closed late/x',
  ],
)

const closedProfiles = state(
  'absent and unreadable profiles',
  [
    endpoint('absent', { addresses: ['10.0.0.1'], profiles: ['p', 'none', 'q'] }),
    endpoint('broken', { addresses: ['10.0.0.2'], profiles: ['p', 'bad', 'none'] }),
    endpoint('labels', { addresses: ['10.0.0.3'], profiles: ['p', 'blank'] }),
    endpoint('off', { addresses: ['10.0.0.4'], profiles: ['p'], active: false }),
    endpoint('bare', { addresses: ['10.0.0.5'] }),
    rules('p', [{}]),
    rules('q', [{ src_tag: 'unused' }]),
    rules('blank', [{}]),
    brokenPart('profile-rules', 'bad'),
    brokenPart('profile-labels', 'blank'),
  ],
  [
    'absent: p none',
    'bare:',
    'broken: bad',
    'labels: the labels of profile blank cannot be read: unreadable',
    'off: the endpoint is inactive',
    'closed bad',
    'closed none',
  ],
)

const repaired = but(
  closedProfiles,
  'they turn good',
  [rules('none', []), rules('bad', []), labels('blank', {}), endpoint('off', { profiles: ['p'] })],
  ['absent: p none q', 'bare:', 'broken: p bad none', 'labels: p blank', 'off: p', 'tag:unused ='],
)

const sequences: readonly (readonly State[])[] = [
  [alone, none, alone],
  [remoteOnly, alone, remoteOnly],
  [none, cluster, oneOwnerLess, alone, cluster],
  [inherited, labelsMoved, inherited, none],
  [tiered, reordered, relabelled, tiered],
  [tiered, unreadable, reordered, unreadable, none],
  [closedProfiles, repaired, none, closedProfiles],
  [cluster, inherited, tiered, closedProfiles, alone],
]

/** The changes that lead from one state to another. */
function changesBetween(from: State, to: State): ModelChange[] {
  const wanted = new Set(to.changes.map(keyOf))
  return [...from.changes.filter(change => !wanted.has(keyOf(change))).map(gone), ...to.changes]
}

/** The same list in another order, always the same for the same seed. */
function shuffled<Value>(values: readonly Value[], seed: number): Value[] {
  const weight = (at: number) => (at * 2654435761 + seed * 40503) % 65537
  return values
    .map((value, at) => [weight(at), value] as const)
    .sort(([a], [b]) => a - b)
    .map(([, value]) => value)
}

interface Expansion {
  readonly name: string
  readonly states: (states: readonly State[]) => readonly State[]
  readonly order: (changes: readonly ModelChange[]) => readonly ModelChange[]
  /** Whether a delta is taken between the states. */
  readonly squashed: boolean
}

const same = <Value>(value: Value) => value
const expansions: readonly Expansion[] = [
  { name: 'as written', states: same, order: same, squashed: false },
  { name: 'states reversed', states: states => [...states].reverse(), order: same, squashed: false },
  { name: 'changes reversed', states: same, order: changes => [...changes].reverse(), squashed: false },
  { name: 'changes shuffled', states: same, order: changes => shuffled(changes, 1), squashed: false },
  { name: 'shuffled otherwise', states: same, order: changes => shuffled(changes, 7), squashed: false },
  { name: 'squashed', states: same, order: same, squashed: true },
  { name: 'squashed and shuffled', states: same, order: changes => shuffled(changes, 3), squashed: true },
  {
    name: 'empties inserted',
    states: states => states.flatMap(each => [none, each]),
    order: same,
    squashed: false,
  },
  {
    name: 'each twice',
    states: states => states.flatMap(each => [each, each]),
    order: same,
    squashed: false,
  },
]

function isEmpty({ endpoints, lists, sets }: PolicyDelta): boolean {
  return endpoints.size + lists.size + sets.size === 0
}

for (const { name, states, order, squashed } of expansions)
  t.test(`sequences of states, ${name}`, async t => {
    for (const sequence of sequences) {
      const engine = new PolicyEngine(HERE)
      const mirror = new Mirror()
      const expanded = states(sequence)
      let before = none
      for (const [at, current] of expanded.entries()) {
        for (const change of order(changesBetween(before, current))) engine.update(change)
        const where = `${expanded
          .slice(0, at + 1)
          .map(each => each.name)
          .join(', ')}`
        const repeated = before === current
        before = current
        if (squashed && at < expanded.length - 1) continue
        const delta = engine.take()
        mirror.apply(delta)
        t.same(lines(mirror), [...current.expected].sort(), where)
        t.strictSame(mirror.state(), new Oracle(current.changes).state(), where)
        t.ok(isEmpty(engine.take()), 'nothing is told twice')
        if (repeated) t.ok(isEmpty(delta), 'equal values change nothing')
        if (squashed && current === none) t.ok(isEmpty(delta), 'what came and went was never there')
      }
    }
  })

t.test('a delta is as small as the change', async t => {
  const engine = new PolicyEngine(HERE)
  for (const change of [...cluster.changes, ...tiered.changes]) engine.update(change)
  const web = endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p'], labels: { role: 'web' } })
  engine.update(rules('p', [{ src_tag: 't' }]))
  engine.update(web)
  engine.take()
  const told = (...changes: ModelChange[]) => {
    for (const change of changes) engine.update(change)
    const { endpoints, lists, sets } = engine.take()
    const members = [...sets].map(([id, { created, removed, added, deleted }]) => {
      const signs = [...added.map(each => `+${each.address}`), ...deleted.map(each => `-${each.address}`)]
      return [id, created ? 'created' : removed ? 'removed' : 'changed', ...signs.sort()].join(' ')
    })
    return [...endpoints.keys(), ...lists.keys(), ...members]
  }
  t.same(told(), [], 'nothing')
  t.same(told(policy('late/first', 'all()', [{}], [], 1)), ['policy:late/first:inbound'], 'a rule')
  t.same(told(policy('empty/x', "role == 'db'", [{ src_tag: 'more' }])), [], 'a policy of nobody here')
  t.same(told(policy('ignored/x', 'all()', [{}])), [], 'a policy of no tier')
  t.same(
    told(policy('late/first', 'all()', [{ src_selector: 'has(role)' }], [], 1)),
    ['policy:late/first:inbound', 'selector:has(role) created +10.0.0.1'],
    'a rule with a new set',
  )
  t.same(
    told(endpoint('there/new', { addresses: ['10.9.9.9'], labels: { role: 'any' } })),
    ['selector:has(role) changed +10.9.9.9'],
    'an endpoint elsewhere',
  )
  t.same(
    told(endpoint('there/new', { addresses: ['10.9.9.8'], labels: { role: 'any' } })),
    ['selector:has(role) changed +10.9.9.8 -10.9.9.9'],
    'another address',
  )
  t.same(
    told(
      endpoint('there/new', { addresses: ['10.9.9.7'], labels: { role: 'any' } }),
      endpoint('there/new', { addresses: ['10.9.9.8'], labels: { role: 'any' } }),
      policy('late/first', 'all()', [{ src_selector: 'has(role)' }, { src_tag: 'brief' }], [], 1),
      policy('late/first', 'all()', [{ src_selector: 'has(role)' }], [], 1),
    ),
    [],
    'there and back',
  )
  t.same(
    told(gone(policy('late/first', '', []))),
    [idOf('web'), 'policy:late/first:inbound', 'policy:late/first:outbound', 'selector:has(role) removed'],
    'a policy goes with its set',
  )
  t.same(
    told(
      policy('late/first', 'all()', [{ src_tag: 't' }], [], 1),
      gone(policy('late/first', '', [])),
      { kind: 'config', id: 'LogSeverityScreen', value: 'info' },
      { kind: 'host-endpoint', id: 'here/eth0', value: null },
    ),
    [],
    'what came and went, and what means nothing here',
  )
})

t.test('a set that one list gives up and another takes on within one step is not made anew', async t => {
  const engine = new PolicyEngine(HERE)
  const mirror = new Mirror()
  for (const change of alone.changes) engine.update(change)
  mirror.apply(engine.take())
  engine.update(rules('p', []))
  t.equal(engine.setMembers('tag:t'), undefined, 'nobody uses it')
  engine.update(rules('p', [], [{ dst_tag: 't' }]))
  const delta = engine.take()
  t.same([...delta.lists.keys()], ['profile:p:inbound', 'profile:p:outbound'])
  t.equal(delta.sets.size, 0)
  engine.update(endpoint('there/one', { addresses: ['10.0.1.1'], profiles: ['p'] }))
  mirror.apply(delta).apply(engine.take())
  t.same([...(mirror.setMembers('tag:t') ?? [])], ['10.0.0.1', '10.0.1.1'])
})

t.test('reads show the present, taken or not', async t => {
  const engine = new PolicyEngine(HERE)
  for (const change of cluster.changes) engine.update(change)
  engine.update(endpoint('api', { addresses: ['10.0.0.1', 'fd00::2'], profiles: ['none'] }))
  t.same(
    engine.endpoints().map(({ id }) => id),
    [idOf('api'), idOf('web')],
  )
  t.equal(engine.endpoint(idOf('web'))?.interface, 'caliweb')
  t.equal(engine.endpoint(idOf('there/one')), undefined)
  t.equal(engine.list('profile:p:inbound')?.rules.length, 1)
  t.equal(engine.list('profile:q:inbound'), undefined)
  const members = engine.setMembers('tag:t')!
  t.equal(members.size, 4)
  t.ok(members.has('fd00::1'))
  t.notOk(members.has('fd00::2'))
  t.same([...members.addresses()].sort(), ['10.0.0.1', '10.0.1.1', '10.0.1.3', 'fd00::1'])
  t.same(
    engine.localByAddress('10.0.0.1').map(({ id }) => id),
    [idOf('api'), idOf('web')],
  )
  t.same(engine.localByAddress('10.0.1.1'), [])
  t.same(engine.addressesOf(idOf('there/one')), ['10.0.1.1', 'fd00::1'])
  t.same(engine.addressesOf('nobody'), [])
  t.same(engine.counts(), {
    clusterEndpoints: 5,
    labelSets: 1,
    activeSets: 1,
    setMembers: 4,
    incompleteSets: 0,
    localEndpoints: 2,
    tiers: 0,
    policies: 0,
    profiles: 1,
    activeLists: 4,
  })
  engine.update(gone(endpoint('web', {})))
  t.same(
    engine.localByAddress('10.0.0.1').map(({ id }) => id),
    [idOf('api')],
  )
  engine.update(endpoint('api', { addresses: ['fd00::3'] }))
  t.same(engine.localByAddress('fd00::2'), [])
})

t.test('whose verdicts a delta may have changed', async t => {
  const engine = new PolicyEngine(HERE)
  const told = (...changes: ModelChange[]) => {
    for (const change of changes) engine.update(change)
    const { endpoints, addresses } = engine.interestsOf(engine.take())
    return [...endpoints, ...addresses].sort()
  }
  told(
    endpoint('web', { addresses: ['10.0.0.1'], profiles: ['p'] }),
    endpoint('api', { addresses: ['10.0.0.2', 'fd00::2'], profiles: ['q'] }),
    rules('p', [{ src_tag: 't' }]),
    rules('q', [{ src_tag: 'u' }]),
  )
  t.same(told(), [])
  t.same(told(endpoint('there/one', { addresses: ['10.0.1.1'], profiles: ['r'] }), tags('r', 't')), [
    '10.0.0.1',
    idOf('web'),
  ])
  t.same(told(rules('q', [])), ['10.0.0.2', 'fd00::2', idOf('api')])
  t.same(told(tags('r', 'u')), ['10.0.0.1', idOf('web')], 'a set of no rule any more moves nobody')
  t.same(
    told(endpoint('web', { addresses: ['10.0.0.9'], profiles: ['p'] })),
    ['10.0.0.1', '10.0.0.9', idOf('web')],
    'the former address too',
  )
  t.same(told(gone(endpoint('web', {}))), ['10.0.0.9', idOf('web')])
})

t.test('which addresses have got or lost an owner', async t => {
  const engine = new PolicyEngine(HERE)
  const told = (...changes: ModelChange[]) => {
    for (const change of changes) engine.update(change)
    const { left, got, taken } = engine.interestsOf(engine.take())
    return [left, got, taken].map(addresses => [...addresses].sort().join(' '))
  }
  const web = { addresses: ['10.0.0.1', 'fd00::1'], profiles: ['p'] }
  t.same(told(endpoint('web', web)), ['', '10.0.0.1 fd00::1', ''], 'nobody had those of a new endpoint')
  t.same(told(rules('p', [{ src_tag: 't' }])), ['', '', ''], 'policy moves nothing')
  t.same(told(endpoint('web', { ...web, labels: { a: 'b' } })), ['', '', ''], 'nor do labels')
  t.same(
    told(endpoint('web', { ...web, mac: '02:00:00:00:00:01' })),
    ['', '', ''],
    'nor what is learnt of it',
  )
  const other = endpoint('web', { ...web, mac: '02:00:00:00:00:02' })
  const all = '10.0.0.1 fd00::1'
  t.same(told(other), [all, all, all], 'a workload that was made anew')
  t.same(told(endpoint('there/one', { addresses: ['10.0.1.1'] })), ['', '', ''], 'nor what is elsewhere')
  t.same(told(endpoint('web', { ...web, addresses: ['10.0.0.1', '10.0.0.2'] })), ['fd00::1', '10.0.0.2', ''])
  t.same(
    told(gone(endpoint('web', {})), endpoint('api', { addresses: ['10.0.0.1'] })),
    ['10.0.0.1 10.0.0.2', '10.0.0.1', '10.0.0.1'],
    'one that goes to another endpoint',
  )
  t.same(told(gone(endpoint('api', {}))), ['10.0.0.1', '', ''])
  t.same(
    told(endpoint('api', { addresses: ['10.0.0.1'] })),
    ['', '10.0.0.1', ''],
    'its connections ended when it was given up',
  )
  t.same(told(gone(endpoint('there/one', {}))), ['', '', ''], 'one that is given up elsewhere')
  const both = { addresses: ['10.0.0.1', '10.0.1.1'] }
  t.same(told(endpoint('api', both)), ['', '10.0.1.1', '10.0.1.1'], 'and comes here')
})

t.test('warnings tell what is ignored, closed, incomplete or claimed twice', async t => {
  const engine = new PolicyEngine(HERE)
  const changes = [
    endpoint('web', { addresses: ['10.0.0.1'], profiles: ['none'], labels: { role: 'web' } }),
    endpoint('api', { addresses: ['10.0.0.1'], profiles: ['blank'] }),
    endpoint('off', { addresses: ['10.0.0.3'], active: false }),
    brokenPart('profile-labels', 'blank'),
    policy('bare/x', 'all()', []),
    policy('late/x', "role == 'web'", [{ src_selector: 'has(role)' }]),
    brokenPolicy('late/y'),
    brokenPolicy('late/z', { selector: 'all()', order: 9 }),
    tier('late', 1),
  ]
  const warnings = (...more: ModelChange[]) => {
    for (const change of more) engine.update(change)
    return engine.warnings().map(({ level, subject, text }) => `${level} ${subject} ${text}`)
  }
  t.same(warnings(), [])
  t.same(warnings(...changes), [
    'yellow tier bare has no metadata, so its policy is ignored',
    'red policy late/y denies everything it is asked, since policy late/y cannot be read: unreadable',
    'yellow policy late/z denies everything it is asked, since policy late/z cannot be read: unreadable',
    'yellow profile none denies everything it is asked, since profile none has no rules',
    `yellow endpoint ${idOf('api')} is closed: the labels of profile blank cannot be read: unreadable`,
    `yellow endpoint ${idOf('web')} shares 10.0.0.1 with endpoint ${idOf('api')}`,
    'yellow set selector:has(role) may lack members: the labels of profile blank cannot be read: unreadable',
  ])
  t.same(
    warnings(
      labels('blank', {}),
      rules('none', []),
      rules('blank', []),
      gone(policy('late/y', '', [])),
      gone(policy('late/z', '', [])),
      endpoint('api', { addresses: ['10.0.0.2'], profiles: ['blank'] }),
      brokenPart('tier', 'late'),
      policy('bare/y', 'all()', []),
    ),
    [
      'yellow tier bare has no metadata, so its 2 policies are ignored',
      'red policy late/x denies everything it is asked, since tier late cannot be read: unreadable',
    ],
  )
})
