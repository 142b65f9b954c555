import fc from 'fast-check'
import t from 'tap'
import type { PolicyDelta } from '../../src/policy/outcome.ts'
import { HOOKS } from '../../src/render/hooks.ts'
import type { KernelDelta } from '../../src/render/kernel-delta.ts'
import { RANKS } from '../../src/render/kernel-delta.ts'
import { base32Hash } from '../../src/render/name.ts'
import { ipsetText, printDelta, restoreText } from '../../src/render/print.ts'
import { Renderer } from '../../src/render/renderer.ts'
import { isPlainDelta, shuffled } from './fixtures/deltas.ts'
import {
  BRIDGED,
  bridgedWorld,
  delta,
  effective,
  endpoint,
  member,
  NOTHING,
  net,
  newSet,
  OPTIONS,
  policyList,
  ports,
  profileList,
  profiles,
  routedWorld,
} from './fixtures/worlds.ts'

function owners({ chains }: KernelDelta): string[] {
  return chains.map(({ family, owner, rules }) => `${family} ${owner}${rules === null ? ' gone' : ''}`)
}

function members(world: PolicyDelta) {
  return (id: string) => world.sets.get(id)?.added ?? []
}

t.test('the first delta brings everything, the next nothing', async t => {
  const renderer = new Renderer(OPTIONS)
  const first = renderer.render(delta())
  t.same(
    first.chains.filter(({ family }) => family === 4).map(({ name }) => name),
    [
      'podf-allow',
      'podf-next-tier',
      'podf-from',
      'podf-to',
      'podf-forward-in',
      'podf-source-link',
      'podf-forward-from',
      'podf-forward-to',
      'podf-input',
      'podf-source-routed',
      'podf-INPUT',
      'podf-FORWARD',
      'podf-OUTPUT',
      'podf-PREROUTING',
    ],
  )
  t.same(
    first.sets.map(({ name, timeout, created }) => ({ name, timeout, created })),
    [
      { name: 'podf-cut-4', timeout: 600, created: true },
      { name: 'podf-cut-6', timeout: 600, created: true },
    ],
  )
  t.same(renderer.render(delta()), { sets: [], chains: [] })
  t.same(
    HOOKS.map(({ table, parent, chain }) => `${table} ${parent} ${chain}`),
    [
      'raw PREROUTING podf-PREROUTING',
      'filter INPUT podf-INPUT',
      'filter FORWARD podf-FORWARD',
      'filter OUTPUT podf-OUTPUT',
    ],
  )
})

t.test('the same world again changes nothing', async t => {
  for (const world of [routedWorld(), bridgedWorld()]) {
    const renderer = new Renderer(BRIDGED)
    renderer.render(world)
    t.same(renderer.render({ ...world, sets: new Map() }), { sets: [], chains: [] })
  }
})

t.test('an edit of a profile writes its own chain, in the families it changes', async t => {
  const renderer = new Renderer(OPTIONS)
  renderer.render(routedWorld())
  const edit = (families: (4 | 6)[]) =>
    renderer.render(delta({ lists: [profileList('web', 'inbound', [effective('allow', {}, { families })])] }))
  t.same(owners(edit([4, 6])), ['4 profile web inbound', '6 profile web inbound'])
  t.same(owners(edit([4])), ['6 profile web inbound'])
  t.same(owners(edit([4])), [])
})

t.test('an edit of an endpoint that keeps its addresses writes its own chains', async t => {
  const renderer = new Renderer(OPTIONS)
  const one = endpoint('n/k/w/e', { addresses4: ['10.0.0.1'], addresses6: ['fd00::1'] })
  renderer.render(delta({ endpoints: [one] }))
  t.same(owners(renderer.render(delta({ endpoints: [{ ...one, closed: 'inactive' }] }))), [
    '4 endpoint n/k/w/e from',
    '4 endpoint n/k/w/e to',
    '6 endpoint n/k/w/e from',
    '6 endpoint n/k/w/e to',
  ])
})

t.test('what refers comes after what it refers to, and goes before', async t => {
  const referred = ({ chains }: KernelDelta) => {
    const made = new Set<string>()
    for (const { family, name, rules } of chains) {
      for (const rule of rules ?? []) {
        const target = /-[jg] (podf-\S+)$/.exec(rule)?.[1]
        if (target !== undefined && !made.has(`${family} ${target}`)) return `${name} before ${target}`
      }
      made.add(`${family} ${name}`)
    }
    return null
  }
  const endpoints = Array.from({ length: 60 }, (_, index) =>
    endpoint(`n/k/w${index}/e`, { interface: `veth${index}`, addresses4: [`10.0.${index % 3}.${index}`] }),
  )
  for (const world of [routedWorld(), bridgedWorld(), delta({ endpoints })]) {
    const renderer = new Renderer(BRIDGED)
    t.equal(referred(renderer.render(world)), null)
    t.equal(referred(renderer.full(members(world))), null)
    const gone = renderer.render(
      delta({ goneEndpoints: [...world.endpoints.keys()], goneLists: [...world.lists.keys()] }),
    )
    const ranks = gone.chains.filter(({ rules }) => rules === null).map(({ rank }) => RANKS.indexOf(rank))
    t.same(
      ranks,
      [...ranks].sort((a, b) => b - a),
      'deletions from the top down',
    )
    const going = gone.chains.map(({ rules }) => rules === null)
    t.same(going, [...going].sort(), 'deletions last')
  }
})

t.test('an endpoint that goes leaves nothing', async t => {
  const renderer = new Renderer(OPTIONS)
  const before = printDelta(new Renderer(OPTIONS).render(delta()))
  const world = routedWorld()
  renderer.render(world)
  renderer.render(
    delta({
      goneEndpoints: [...world.endpoints.keys()],
      goneLists: [...world.lists.keys()],
      sets: { 'tag:frontend': { created: false, removed: true, added: [], deleted: [] } },
    }),
  )
  t.equal(printDelta(renderer.full(() => [])), before)
})

t.test('a family without an address of the endpoint has no chains of it', async t => {
  const renderer = new Renderer(OPTIONS)
  const one = endpoint('n/k/w/e', { addresses4: ['10.0.0.1'] })
  renderer.render(delta({ endpoints: [one] }))
  t.same(
    owners(renderer.render(delta({ endpoints: [{ ...one, addresses4: [], addresses6: ['fd00::1'] }] }))),
    [
      '6 endpoint n/k/w/e from',
      '6 endpoint n/k/w/e to',
      '4 dispatch from',
      '4 dispatch to',
      '6 dispatch from',
      '6 dispatch to',
      '4 endpoint n/k/w/e to gone',
      '4 endpoint n/k/w/e from gone',
    ],
  )
})

t.test('sets, each family by itself', async t => {
  const renderer = new Renderer(OPTIONS)
  renderer.render(delta({ sets: { 'tag:a': newSet('10.0.0.1', 'fd00::1') } }))
  const change = {
    created: false,
    removed: false,
    added: [member('10.0.0.2')],
    deleted: [member('10.0.0.1')],
  }
  const { sets, chains } = renderer.render(delta({ sets: { 'tag:a': change } }))
  t.same(chains, [])
  t.match(sets, [{ family: 4, type: 'hash:ip', added: ['10.0.0.2'], deleted: ['10.0.0.1'], owner: 'tag:a' }])
  t.equal(sets.length, 1)
  const gone = renderer.render(
    delta({ sets: { 'tag:a': { ...change, removed: true, added: [], deleted: [] } } }),
  )
  t.same(
    gone.sets.map(({ name, removed }) => [name.slice(0, 7), removed]),
    [
      ['podf-4-', true],
      ['podf-6-', true],
    ],
  )
  const unknown = renderer.render(delta({ sets: { 'tag:never': change } }))
  t.same(unknown.sets, [], 'a set that was never created has no name')
})

t.test('a member that is no address stops everything', async t => {
  for (const address of ['10.0.0.1\nadd x', 'fd00::1 timeout 0', '', '10.0.0.0/8']) {
    const sets = { 'tag:a': newSet() }
    const bad = { family: 4 as const, address }
    const world = delta({ sets: { 'tag:a': { ...sets['tag:a'], added: [bad] } } })
    t.throws(() => new Renderer(OPTIONS).render(world), { code: 'OBJECT_INVALID' }, address)
  }
})

t.test('two identities of one name: the second is closed, and told', async t => {
  const parts = (text: string) => (/web|db/.test(text) ? 'same'.repeat(9) : base32Hash(text))
  const renderer = new Renderer(OPTIONS, parts)
  renderer.render(
    delta({
      sets: { 'tag:web': newSet('10.0.0.1'), 'tag:db': newSet('10.0.0.2') },
      lists: [
        profileList('web', 'inbound', [effective('allow', { srcSets: ['tag:web'] })]),
        profileList('db', 'inbound', [effective('allow')]),
        profileList('user', 'inbound', [
          effective('allow', { srcSets: ['tag:db'] }),
          effective('allow', { protocol: 6 }, { not: { srcSets: ['tag:db'] } }),
          effective('deny', { protocol: 17, srcSets: ['tag:db'] }),
        ]),
      ],
      endpoints: [
        endpoint('n/k/web/e', { interface: 'cali1', addresses4: ['10.0.0.1'] }),
        endpoint('n/k/db/e', { interface: 'cali2', addresses4: ['10.0.0.2'] }),
        endpoint('n/k/user/e', {
          interface: 'cali3',
          addresses4: ['10.0.0.3'],
          ingress: profiles('inbound', 'db', 'user'),
          egress: { tiers: [{ name: 't', lists: ['profile:db:inbound'] }], profiles: [] },
        }),
      ],
    }),
  )
  const { chains, sets } = renderer.full(() => [member('10.0.0.1')])
  const rules = (owner: string) =>
    chains.find(each => each.family === 4 && each.owner === owner)?.rules?.slice(1)
  t.same(
    renderer
      .collisions()
      .map(({ refused }) => refused)
      .sort(),
    [
      'endpoint from n/k/db/e',
      'endpoint to n/k/db/e',
      'list profile:db:inbound',
      'set 4 closes tag:db',
      'set 4 opens tag:db',
      'set 6 closes tag:db',
      'set 6 opens tag:db',
    ],
  )
  t.same(rules('profile user inbound'), ['-p udp -j DROP'])
  t.equal(rules('profile db inbound'), undefined)
  const user = chains.find(({ owner }) => owner === 'profile user inbound')?.name
  t.same(rules('endpoint n/k/user/e to')?.slice(3), [
    '-j DROP',
    '-m mark --mark 0x1000000/0x1000000 -j RETURN',
    `-j ${user}`,
    '-m mark --mark 0x1000000/0x1000000 -j RETURN',
    '-j DROP',
  ])
  t.equal(rules('endpoint n/k/user/e from')?.[3], '-m mark --mark 0x0/0x2000000 -j DROP')
  t.ok(rules('dispatch from')?.includes('-s 10.0.0.2/32 -j DROP'))
  t.ok(rules('dispatch to')?.includes('-d 10.0.0.2/32 -j DROP'))
  t.equal(sets.filter(({ type }) => type === 'hash:ip').length, 2)
  // When the first goes, the name is free again.
  renderer.render(
    delta({
      goneLists: ['profile:web:inbound'],
      lists: [profileList('db', 'inbound', [effective('allow')])],
    }),
  )
  t.notOk(renderer.collisions().some(({ refused }) => refused.startsWith('list')))
})

t.test('a policy that is not there drops inside its tier, a profile at its place', async t => {
  const { chains } = new Renderer(OPTIONS).render(
    delta({
      endpoints: [
        endpoint('n/k/w/e', {
          addresses4: ['10.0.0.1'],
          ingress: { tiers: [{ name: 't', lists: ['policy:t/p:inbound'] }], profiles: ['profile:p:inbound'] },
        }),
      ],
    }),
  )
  t.same(chains.find(({ owner }) => owner === 'endpoint n/k/w/e to')?.rules?.slice(1), [
    '! -o cali1 -m mark --mark 0x4000000/0x4000000 -j DROP',
    '-s 10.0.0.1/32 -i cali1 -g podf-allow',
    '-j MARK --set-xmark 0x0/0x3000000',
    '-m mark --mark 0x0/0x2000000 -j DROP',
    '-m mark --mark 0x1000000/0x1000000 -j RETURN',
    '-m mark --mark 0x0/0x2000000 -j DROP',
    '-j DROP',
    '-m mark --mark 0x1000000/0x1000000 -j RETURN',
    '-j DROP',
  ])
})

t.test('the second tier clears what the first passed on', async t => {
  const lists = [policyList('a/p', 'inbound', []), policyList('b/p', 'inbound', [])]
  const ingress = {
    tiers: [
      { name: 'a', lists: ['policy:a/p:inbound'] },
      { name: 'b', lists: ['policy:b/p:inbound'] },
    ],
    profiles: [],
  }
  const { chains } = new Renderer({ ...OPTIONS, dropLog: { enabled: true, group: 1, perSecond: 1 } }).render(
    delta({ lists, endpoints: [endpoint('n/k/w/e', { addresses4: ['10.0.0.1'], ingress })] }),
  )
  const names = lists.map(
    ({ id }) => chains.find(({ owner }) => `${owner}` === `policy ${id.split(':')[1]} inbound`)?.name,
  )
  t.same(chains.find(({ owner }) => owner === 'endpoint n/k/w/e to')?.rules?.slice(4), [
    `-m mark --mark 0x0/0x2000000 -j ${names[0]}`,
    '-m mark --mark 0x1000000/0x1000000 -j RETURN',
    '-m mark --mark 0x0/0x2000000 -m limit --limit 1/sec -j NFLOG --nflog-prefix "podf:D:tier:a:to/k/w/e" --nflog-group 1',
    '-m mark --mark 0x0/0x2000000 -j DROP',
    '-j MARK --set-xmark 0x0/0x2000000',
    `-m mark --mark 0x0/0x2000000 -j ${names[1]}`,
    '-m mark --mark 0x1000000/0x1000000 -j RETURN',
    '-m mark --mark 0x0/0x2000000 -m limit --limit 1/sec -j NFLOG --nflog-prefix "podf:D:tier:b:to/k/w/e" --nflog-group 1',
    '-m mark --mark 0x0/0x2000000 -j DROP',
    '-m limit --limit 1/sec -j NFLOG --nflog-prefix "podf:D:end:to/k/w/e" --nflog-group 1',
    '-j DROP',
  ])
})

t.test('an endpoint that cannot be enforced on is closed, and on no bridge port', async t => {
  const cases = [
    [BRIDGED, { interface: 'cali+' }],
    [BRIDGED, { interface: 'cali1', mac: 'no mac' }],
    [BRIDGED, { interface: 'cali1', addresses6: ['10.0.0.9', 'fd00::1\n-j ACCEPT'] }],
    [OPTIONS, { interface: 'veth1' }],
    [{ ...BRIDGED, bridgeFilter: false }, { interface: 'veth1' }],
    [{ ...BRIDGED, bridgeFilter: false }, { interface: 'cbr0' }],
  ] as const
  for (const [options, fields] of cases) {
    const one = endpoint('n/k/w/e', { addresses4: ['10.0.0.1'], ...fields })
    const { chains } = new Renderer(options).render(delta({ endpoints: [one] }))
    const of = (owner: string) =>
      chains.find(each => each.family === 4 && each.owner === owner)?.rules?.slice(1)
    t.same(of('endpoint n/k/w/e from'), ['-j DROP'], JSON.stringify(fields))
    t.same(of('endpoint n/k/w/e to'), ['-j DROP'])
    t.equal(of('dispatch to')?.length, 1, "its address is not nobody's")
    t.notOk(JSON.stringify(chains).includes('physdev'))
    if (options.bridges.length > 0) t.same(of('dispatch source'), [])
  }
})

t.test('with several bridges, a workload of an unknown port comes by the one it names', async t => {
  const one = endpoint('n/k/w/e', { interface: 'cbr1', addresses4: ['10.0.0.1', '10.0.0.1'] })
  const { chains } = new Renderer({ ...OPTIONS, bridges: ['cbr0', 'cbr1'] }).render(
    delta({ endpoints: [one] }),
  )
  const of = (owner: string) => chains.find(each => each.owner === owner)?.rules?.slice(1)
  t.same(of('endpoint n/k/w/e from'), [
    '! -i cbr1 -j DROP',
    '-d 10.0.0.1/32 -g podf-allow',
    '-j MARK --set-xmark 0x0/0x3000000',
    '-j DROP',
  ])
  t.same(of('endpoint n/k/w/e to')?.slice(0, 2), [
    '! -o cbr1 -m mark --mark 0x4000000/0x4000000 -j DROP',
    '-s 10.0.0.1/32 -i cbr1 -m conntrack --ctstate DNAT -g podf-allow',
  ])
})

t.test('a set that opens and closes is two sets, each as long as it is used', async t => {
  const renderer = new Renderer(OPTIONS)
  const all = [member('10.0.0.1'), member('10.0.0.2')]
  const step = (parts: Parameters<typeof delta>[0]) =>
    renderer
      .render(delta(parts), () => all)
      .sets.filter(({ family, owner }) => family === 4 && owner.startsWith('tag:'))
      .map(({ owner, role, created, removed, added, deleted }) =>
        [owner, role, created ? 'new' : removed ? 'gone' : 'stays', `+${added} -${deleted}`].join(' '),
      )
  const list = (name: string, ...rules: Parameters<typeof profileList>[2]) =>
    profileList(name, 'inbound', rules)
  const allow = effective('allow', { srcSets: ['tag:a'] })
  const deny = effective('deny', { srcSets: ['tag:a'] })
  t.same(step({ lists: [list('p', allow)], sets: { 'tag:a': newSet('10.0.0.1') } }), [
    'tag:a opens new +10.0.0.1 -',
  ])
  const more = { created: false, removed: false, added: [member('10.0.0.2')], deleted: [] }
  t.same(step({ lists: [list('q', deny)], sets: { 'tag:a': more } }), [
    'tag:a opens stays +10.0.0.2 -',
    'tag:a closes closes new +10.0.0.1,10.0.0.2 -',
  ])
  t.same(step({ sets: { 'tag:a': { ...more, added: [], deleted: [member('10.0.0.1')] } } }), [
    'tag:a opens stays + -10.0.0.1',
    'tag:a closes closes stays + -10.0.0.1',
  ])
  t.same(step({ goneLists: ['profile:p:inbound'] }), ['tag:a opens gone + -'])
  t.same(step({ lists: [list('q', effective('next-tier', {}, { not: { dstSets: ['tag:a'] } }))] }), [
    'tag:a opens new +10.0.0.1,10.0.0.2 -',
  ])
  t.equal(renderer.full(() => all).sets.filter(({ owner }) => owner.startsWith('tag:')).length, 4)
  t.same(
    step({ goneLists: ['profile:q:inbound'], sets: { 'tag:a': { ...more, removed: true, added: [] } } }),
    ['tag:a opens gone + -', 'tag:a closes closes gone + -'],
  )
  renderer.render(delta({ sets: { 'tag:b': newSet('10.0.0.1') } }))
  const late = profileList('r', 'inbound', [effective('deny', { srcSets: ['tag:b'] })])
  t.throws(() => renderer.render(delta({ lists: [late] })), /members of tag:b/)
})

t.test('the text depends on the state, not on the order of the deltas', async t => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const lists = names.flatMap(name => [
    profileList(name, 'inbound', [effective('allow', { srcNet: net('10.0.0.0/8') })]),
    profileList(name, 'outbound', []),
  ])
  const endpoints = Array.from({ length: 40 }, (_, index) =>
    endpoint(`n/k/w${index}/e`, {
      interface: index % 3 === 0 ? `veth${index}` : `cali${index % 7}`,
      addresses4: [`10.0.0.${index >> 1}`],
      ingress: profiles('inbound', names[index % 6]!),
    }),
  )
  const expected = new Renderer(BRIDGED)
  expected.render(delta({ lists, endpoints }))
  const text = printDelta(expected.full(() => []))
  for (let seed = 1; seed <= 5; seed++) {
    const renderer = new Renderer(BRIDGED)
    renderer.render(delta({ lists: shuffled(lists, seed) }))
    const mixed = shuffled(endpoints, seed)
    for (let at = 0; at < mixed.length; at += 7) {
      renderer.render(
        delta({ endpoints: mixed.slice(at, at + 7).map(each => ({ ...each, ingress: NOTHING })) }),
      )
      const other = mixed[(at * 5) % mixed.length]!.id
      renderer.render(delta({ goneEndpoints: [other] }))
    }
    renderer.render(delta({ endpoints: shuffled(endpoints, seed + 100) }))
    t.equal(printDelta(renderer.full(() => [])), text)
  }
})

t.test('full is what the first delta was', async t => {
  for (const world of [routedWorld(), bridgedWorld(), delta()]) {
    const renderer = new Renderer(BRIDGED)
    const first = renderer.render(world)
    t.equal(printDelta(renderer.full(members(world))), printDelta(first))
    t.equal(
      printDelta(new Renderer(BRIDGED).full(() => [])),
      printDelta(new Renderer(BRIDGED).render(delta())),
    )
  }
})

t.test('printing', async t => {
  const renderer = new Renderer(OPTIONS)
  renderer.render(
    delta({ sets: { 'tag:a': newSet('10.0.0.2', '10.0.0.1') }, lists: [profileList('p', 'inbound', [])] }),
  )
  const change = renderer.render(
    delta({
      goneLists: ['profile:p:inbound'],
      lists: [profileList('q', 'inbound', [effective('allow', { protocol: 6, dstPorts: ports(80) })])],
      sets: {
        'tag:a': { created: false, removed: true, added: [], deleted: [] },
        'tag:b': newSet('10.0.0.9', '10.0.0.3'),
      },
    }),
  )
  const [p, q] = [change.chains.at(-1)?.name, change.chains[0]?.name]
  t.equal(
    restoreText(change.chains, 4),
    [
      '*filter',
      `:${q} - [0:0]`,
      `-A ${q} ${change.chains[0]?.rules?.[0]}`,
      `-A ${q} -p tcp -m tcp --dport 80 -g podf-allow`,
      `-F ${p}`,
      `-X ${p}`,
      'COMMIT',
      '',
    ].join('\n'),
  )
  t.equal(
    restoreText([], 4, { hooks: true })
      .split('\n')
      .filter(line => line.startsWith('-I')).length,
    4,
  )
  t.equal(restoreText([], 6), '')
  const [a4, a6, b4, b6] = change.sets.map(({ name }) => name)
  const lines = ipsetText(change.sets, 1000).trimEnd().split('\n')
  t.same(lines.slice(-2), [`destroy ${a4}`, `destroy ${a6}`])
  t.same([...lines.slice(0, -2)].sort(), [
    `add ${b4} 10.0.0.3`,
    `add ${b4} 10.0.0.9`,
    `create ${b4} hash:ip family inet maxelem 1000`,
    `create ${b6} hash:ip family inet6 maxelem 1000`,
  ])
  t.same(ipsetText([{ ...change.sets[0]!, removed: false, deleted: ['10.0.0.1'] }]), `del ${a4} 10.0.0.1\n`)
})

t.test('hostile names never reach the text raw', async t => {
  const nasty = fc.oneof(
    fc.constantFrom(
      'a\n-A INPUT -j ACCEPT',
      '" -j ACCEPT "',
      '-j ACCEPT',
      "'; reboot #",
      '\u2028COMMIT',
      'x'.repeat(10_000),
      '*filter',
      '',
      '\0',
      '$(id)',
    ),
    fc.string({ unit: 'binary', maxLength: 40 }),
  )
  fc.assert(
    fc.property(fc.array(nasty, { minLength: 8, maxLength: 8 }), texts => {
      const [name, iface, mac, address, reason, prefix, tier, set] = texts as [
        string,
        string,
        string,
        string,
        string,
        string,
        string,
        string,
      ]
      const list = profileList(name, 'inbound', [
        effective('log', { srcSets: [`tag:${set}`] }, { logPrefix: prefix }),
      ])
      const world = delta({
        sets: { [`tag:${set}`]: newSet('10.0.0.1') },
        lists: [list, profileList(`${name}2`, 'outbound', [], reason)],
        endpoints: [
          endpoint(`n/k/${name}/e`, {
            interface: iface,
            mac,
            addresses4: [address, '10.0.0.1'],
            closed: null,
            ingress: { tiers: [{ name: tier, lists: [list.id, name] }], profiles: [list.id] },
          }),
          endpoint(name, { interface: 'cali1', addresses4: ['10.0.0.2'], closed: reason }),
          endpoint(`n/k/${tier}`, {
            interface: 'cali2',
            addresses4: ['10.0.0.3'],
            ingress: { tiers: [{ name: tier, lists: [list.id] }], profiles: [] },
          }),
        ],
      })
      const renderer = new Renderer({ ...BRIDGED, dropLog: { enabled: true, group: 1, perSecond: 10 } })
      return isPlainDelta(renderer.render(world)) && isPlainDelta(renderer.full(members(world)))
    }),
    { numRuns: 300, seed: 13 },
  )
  t.notOk(
    isPlainDelta({
      sets: [],
      chains: [
        {
          family: 4,
          table: 'filter',
          name: 'podf-a',
          rules: ['-m comment --comment "a" "b"'],
          rank: 'list',
          owner: '',
        },
      ],
    }),
  )
})
