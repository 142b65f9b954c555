import t from 'tap'
import { decodeWorkloadEndpoint, endpointRemains } from '../../src/model/endpoint.ts'
import { decodeHostEndpoint } from '../../src/model/host-endpoint.ts'
import { decodePolicy, policyRemains } from '../../src/model/policy.ts'
import { decodeProfileLabels, decodeProfileRules, decodeProfileTags } from '../../src/model/profile.ts'
import { attempt, Refusal, show } from '../../src/model/refusal.ts'
import { decodeTier } from '../../src/model/tier.ts'

const place = { host: 'node1', orchestrator: 'k8s', workload: 'default.web', endpoint: 'eth0' }
const minimal = { state: 'active', name: 'cali1' }

function reasonOf(decode: () => unknown): string {
  try {
    decode()
  } catch (error) {
    if (error instanceof Refusal && /^[A-Z].*\.$/.test(error.remedy)) return error.reason
    throw error
  }
  return 'accepted'
}

t.test('workload endpoint', t => {
  const full = {
    ...minimal,
    state: 'inactive',
    mac: 'AA-bb-CC-00-11-22',
    profile_ids: ['b', 'a', 'b'],
    ipv4_nets: ['10.0.0.1/32', '10.0.0.2', '10.0.0.1'],
    ipv6_nets: ['FD00:0::1/128'],
    ipv4_gateway: '10.0.0.254',
    ipv6_gateway: null,
    ipv4_nat: [{ int_ip: '10.0.0.2', ext_ip: '1.2.3.4' }],
    ipv6_nat: [],
    labels: { 'a/b': 'any text \u0000', __proto__x: '' },
    unknown: { of: 'others' },
  }
  t.strictSame(decodeWorkloadEndpoint(full, place), {
    ...place,
    active: false,
    interface: 'cali1',
    mac: 'aa:bb:cc:00:11:22',
    profiles: ['b', 'a'],
    addresses4: ['10.0.0.1', '10.0.0.2'],
    addresses6: ['fd00::1'],
    labels: new Map([
      ['a/b', 'any text \u0000'],
      ['__proto__x', ''],
    ]),
  })
  const bare = {
    ...place,
    active: true,
    interface: 'cali1',
    mac: null,
    profiles: [],
    addresses4: [],
    addresses6: [],
  }
  t.strictSame(decodeWorkloadEndpoint(minimal, place), { ...bare, labels: new Map() })
  const nulls = { profile_ids: null, ipv4_nets: null, ipv6_nets: null, labels: null, ipv4_gateway: null }
  t.strictSame(decodeWorkloadEndpoint({ ...minimal, ...nulls }, place), { ...bare, labels: new Map() })
  t.end()
})

t.test('the single profile of older writers', t => {
  const profiles = (fields: object) => decodeWorkloadEndpoint({ ...minimal, ...fields }, place).profiles
  t.strictSame(profiles({ profile_id: 'old' }), ['old'])
  t.strictSame(profiles({ profile_id: 'old', profile_ids: null }), ['old'])
  t.strictSame(profiles({ profile_id: 'old', profile_ids: ['new'] }), ['new'])
  t.strictSame(profiles({ profile_id: 'old', profile_ids: [] }), [])
  t.strictSame(profiles({ profile_id: null }), [])
  t.end()
})

t.test('refused workload endpoints', t => {
  const rows: [fields: object, reason: string][] = [
    [{ state: undefined }, 'state: nothing is not a state'],
    [{ state: 'Active' }, 'state: "Active" is not a state'],
    [{ name: undefined }, 'name: nothing is not an interface name'],
    [{ name: 'cali+' }, 'name: "cali+" is not an interface name'],
    [{ name: 'a'.repeat(16) }, `name: "${'a'.repeat(16)}" is not an interface name`],
    [{ name: '..' }, 'name: ".." is not an interface name'],
    [{ name: 'a/b' }, 'name: "a/b" is not an interface name'],
    [{ name: 'cali1\n' }, 'name: "cali1\\n" is not an interface name'],
    [{ mac: null }, 'mac: null is not a MAC address'],
    [{ mac: 'aa:bb:cc:00:11' }, 'mac: "aa:bb:cc:00:11" is not a MAC address'],
    [{ mac: 'aa:bb-cc:00:11:22' }, 'mac: "aa:bb-cc:00:11:22" is not a MAC address'],
    [{ profile_ids: 'web' }, 'profile_ids: this must be a list, not "web"'],
    [{ profile_ids: ['ok', 'not ok'] }, 'profile_ids[1]: "not ok" is not a profile id'],
    [{ profile_id: 5 }, 'profile_id: 5 is not a profile id'],
    [{ ipv4_nets: ['10.0.0.0/24'] }, 'ipv4_nets[0]: "10.0.0.0/24" is not one IPv4 address'],
    [{ ipv4_nets: ['10.0.0.1', 'fd00::1'] }, 'ipv4_nets[1]: "fd00::1" is not one IPv4 address'],
    [{ ipv4_nets: [1] }, 'ipv4_nets[0]: 1 is not one IPv4 address'],
    [{ ipv4_nets: ['0.0.0.0'] }, 'ipv4_nets[0]: 0.0.0.0 is not an address that one endpoint can own'],
    [{ ipv4_nets: ['239.1.1.1/32'] }, 'ipv4_nets[0]: 239.1.1.1 is not an address that one endpoint can own'],
    [
      { ipv4_nets: ['255.255.255.255'] },
      'ipv4_nets[0]: 255.255.255.255 is not an address that one endpoint can own',
    ],
    [{ ipv6_nets: ['10.0.0.1'] }, 'ipv6_nets[0]: "10.0.0.1" is not one IPv6 address'],
    [{ ipv6_nets: ['::'] }, 'ipv6_nets[0]: :: is not an address that one endpoint can own'],
    [{ ipv6_nets: ['ff02::1'] }, 'ipv6_nets[0]: ff02::1 is not an address that one endpoint can own'],
    [{ ipv6_nets: {} }, 'ipv6_nets: this must be a list, not an object'],
    [{ ipv4_gateway: 'fd00::1' }, 'ipv4_gateway: "fd00::1" is not an IPv4 address'],
    [{ ipv6_gateway: 5 }, 'ipv6_gateway: 5 is not an IPv6 address'],
    [{ ipv4_nat: [5] }, 'ipv4_nat[0]: this must be an object, not 5'],
    [{ ipv4_nat: [{ int_ip: '10.0.0.1' }] }, 'ipv4_nat[0].int_ip: 10.0.0.1 is not in ipv4_nets'],
    [
      { ipv4_nets: ['10.0.0.1'], ipv4_nat: [{ int_ip: '10.0.0.1' }] },
      'ipv4_nat[0].ext_ip: nothing is not an IPv4 address',
    ],
    [{ labels: [] }, 'labels: this must be an object, not a list'],
    [{ labels: { 'a b': 'c' } }, 'labels: "a b" is not a label name'],
    [{ labels: { '': 'c' } }, 'labels: "" is not a label name'],
    [{ labels: { a: 5 } }, 'labels: the label "a" has a value that is no text: 5'],
  ]
  for (const [fields, reason] of rows)
    t.equal(
      reasonOf(() => decodeWorkloadEndpoint({ ...minimal, ...fields }, place)),
      reason,
    )
  t.equal(
    reasonOf(() => decodeWorkloadEndpoint([], place)),
    'the value must be an object, not a list',
  )
  t.equal(
    reasonOf(() => decodeWorkloadEndpoint(null, place)),
    'the value must be an object, not null',
  )
  t.match(decodeWorkloadEndpoint({ ...minimal, ipv6_nets: ['fe80::1'], name: 'a'.repeat(15) }, place), {
    addresses6: ['fe80::1'],
  })
  // Own members only: nothing that is read may come from a prototype.
  t.match(
    reasonOf(() => decodeWorkloadEndpoint(JSON.parse('{"__proto__":{"state":"active","name":"x"}}'), place)),
    /^state/,
  )
  t.end()
})

t.test('what remains of a refused endpoint', t => {
  t.strictSame(endpointRemains({ state: 'x', profile_ids: ['a'], labels: { k: 'v' } }), {
    labels: new Map([['k', 'v']]),
    profiles: ['a'],
  })
  t.strictSame(endpointRemains({}), { labels: new Map(), profiles: [] })
  t.strictSame(endpointRemains({ profile_ids: [''], labels: { k: 'v' } }), { labels: new Map([['k', 'v']]) })
  t.strictSame(endpointRemains({ profile_id: 'a', labels: { k: 1 } }), { profiles: ['a'] })
  for (const json of [undefined, null, 5, 'text', []]) t.strictSame(endpointRemains(json), {})
  t.end()
})

t.test('host endpoint', t => {
  const own = { host: 'node1', endpoint: 'eth0' }
  const rest = { addresses4: [], addresses6: [], profiles: [], labels: new Map() }
  t.strictSame(decodeHostEndpoint({ name: 'eth0.100' }, own), { ...own, ...rest, interface: 'eth0.100' })
  t.strictSame(
    decodeHostEndpoint({ expected_ipv4_addrs: ['10.0.0.1'], profile_ids: ['a'], labels: { k: 'v' } }, own),
    {
      ...own,
      ...rest,
      interface: null,
      addresses4: ['10.0.0.1'],
      profiles: ['a'],
      labels: new Map([['k', 'v']]),
    },
  )
  t.match(decodeHostEndpoint({ name: null, expected_ipv6_addrs: ['fd00::1'] }, own), {
    addresses6: ['fd00::1'],
  })
  for (const field of ['state', 'mac', 'ipv4_nets', 'ipv6_gateway', 'ipv4_nat'])
    t.equal(
      reasonOf(() => decodeHostEndpoint({ name: 'eth0', [field]: null }, own)),
      `${field}: this field belongs to workload endpoints`,
    )
  t.match(
    reasonOf(() => decodeHostEndpoint({ expected_ipv4_addrs: [] }, own)),
    /neither an interface nor an address/,
  )
  t.match(
    reasonOf(() => decodeHostEndpoint({ name: 'eth 0' }, own)),
    /^name: /,
  )
  t.end()
})

t.test('policy and tier', t => {
  const policy = { selector: "a == 'b'", order: -1.5, inbound_rules: [{ action: 'deny' }], id: 'x' }
  t.match(decodePolicy(policy), { order: -1.5, inbound: [{ action: 'deny' }], outbound: [] })
  t.equal(decodePolicy(policy).selector.text, "a == 'b'")
  for (const order of [undefined, null, 'default']) {
    t.equal(decodePolicy({ selector: '', order }).order, Number.POSITIVE_INFINITY)
    t.equal(decodeTier({ order }).order, Number.POSITIVE_INFINITY)
  }
  t.strictSame(decodeTier({ order: 0, other: 1 }), { order: 0 })
  t.equal(
    reasonOf(() => decodePolicy({})),
    'selector: a policy must have a selector',
  )
  t.equal(
    reasonOf(() => decodePolicy({ selector: null })),
    'selector: a selector is a text, not null',
  )
  t.equal(
    reasonOf(() => decodePolicy({ selector: 'a' })),
    'selector: column 2: the selector ends where a comparison should stand',
  )
  t.equal(
    reasonOf(() => decodePolicy({ selector: '', order: '5' })),
    'order: "5" is not an order',
  )
  t.equal(
    reasonOf(() => decodeTier(JSON.parse('{"order":1e999}'))),
    'order: Infinity is not an order',
  )
  t.equal(
    reasonOf(() => decodeTier([])),
    'the value must be an object, not a list',
  )
  t.match(policyRemains({ selector: 'all()', order: 3, inbound_rules: 5 }), {
    selector: { text: 'all()' },
    order: 3,
  })
  t.strictSame(policyRemains({ selector: 'a', order: 3 }), { order: 3 })
  t.strictSame(Object.keys(policyRemains({ selector: 'all()', order: '3' })), ['selector'])
  t.strictSame(policyRemains('text'), {})
  t.end()
})

t.test('profile', t => {
  t.strictSame(decodeProfileTags(['b', 'a', 'b']), ['b', 'a'])
  t.equal(
    reasonOf(() => decodeProfileTags(['a', 'b c'])),
    '[1]: "b c" is not a tag',
  )
  t.equal(
    reasonOf(() => decodeProfileTags({})),
    'tags are a list, not an object',
  )
  t.strictSame(
    decodeProfileLabels(JSON.parse('{"__proto__":"x","b":"y"}')),
    new Map([
      ['__proto__', 'x'],
      ['b', 'y'],
    ]),
  )
  t.equal(
    reasonOf(() => decodeProfileLabels({ a: {} })),
    'the label "a" has a value that is no text: an object',
  )
  t.equal(
    reasonOf(() => decodeProfileLabels(null)),
    'the value must be an object, not null',
  )
  t.match(decodeProfileRules({ id: 'web', inbound_rules: [{}], outbound_rules: [] }), {
    inbound: [{ action: 'allow' }],
  })
  t.equal(
    reasonOf(() => decodeProfileRules([])),
    'the value must be an object, not a list',
  )
  t.end()
})

t.test('values in messages', t => {
  t.equal(show('a"\u0000\u202e😀'), '"a\\"\\u0000\\u202e\\ud83d\\ude00"')
  t.equal(show('x'.repeat(100)), `"${'x'.repeat(40)}..."`)
  t.equal(show(true), 'true')
  t.throws(() => attempt(() => JSON.parse('{')), SyntaxError, 'only refusals are swallowed')
  t.end()
})
