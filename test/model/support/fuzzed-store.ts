import fc from 'fast-check'

export const ENDPOINT = '/calico/v1/host/n1/workload/k8s/web/endpoint/eth0'
export const RULES = '/calico/v1/policy/profile/web/rules'
export const TAGS = '/calico/v1/policy/profile/web/tags'
export const LABELS = '/calico/v1/policy/profile/web/labels'
export const TIER = '/calico/v1/policy/tier/t/metadata'
export const POLICY = '/calico/v1/policy/tier/t/policy/p'
export const HOST_ENDPOINT = '/calico/v1/host/n1/endpoint/eth0'
export const CONFIG = '/calico/v1/config/InterfacePrefix'

/** One object of every kind. */
export const GOOD: Readonly<Record<string, string>> = {
  [ENDPOINT]: JSON.stringify({
    state: 'active',
    name: 'cali1',
    mac: 'aa:bb:cc:00:11:22',
    profile_ids: ['web'],
    ipv4_nets: ['10.0.0.1/32'],
    ipv6_nets: ['fd00::1/128'],
    labels: { role: 'web' },
  }),
  [RULES]: JSON.stringify({
    inbound_rules: [
      { protocol: 'tcp', src_tag: 'a', '!src_net': '10.0.0.0/8', dst_ports: [80, '1:2'], log_prefix: 'x' },
      { action: 'deny', protocol: 'icmp', icmp_type: 8, icmp_code: 0, ip_version: 4 },
    ],
    outbound_rules: [{ src_selector: "a == 'b' && has(c)", '!dst_tag': 'x' }],
  }),
  [TAGS]: '["a","b"]',
  [LABELS]: '{"k":"v"}',
  [TIER]: '{"order":10}',
  [POLICY]: JSON.stringify({ selector: "role == 'web'", order: 1, inbound_rules: [{ action: 'next-tier' }] }),
  [HOST_ENDPOINT]: '{"name":"eth0"}',
  [CONFIG]: 'cali',
}

const junk = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    255,
    256,
    Number.MAX_VALUE,
    '',
    'tcp',
    '80',
    'a == ',
    '::1',
    '10.0.0.0/8',
    [],
    {},
    [null],
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.jsonValue({ maxDepth: 2 }),
)

/** A copy of a JSON value with the part number `at` (counted depth first) replaced, renamed or removed. */
function mutate(json: unknown, at: number, by: unknown, how: 'replace' | 'rename' | 'remove'): unknown {
  let left = at
  // String(by) would throw for an object that has a `toString` of its own.
  const newName = typeof by === 'string' ? by : JSON.stringify(by)
  const walk = (value: unknown): unknown => {
    if (left-- === 0) return how === 'remove' ? undefined : how === 'rename' ? { [newName]: value } : by
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, own]) => [
        left === 0 && how === 'rename' ? newName : name,
        walk(own),
      ]),
    )
  }
  return walk(json)
}

const mutated = fc
  .tuple(
    fc.constantFrom(...Object.values(GOOD).filter(text => text.startsWith('{') || text.startsWith('['))),
    fc.nat(30),
    junk,
    fc.constantFrom('replace', 'rename', 'remove'),
  )
  .map(
    ([text, at, by, how]) =>
      JSON.stringify(mutate(JSON.parse(text), at, by, how as 'replace')) ?? 'undefined',
  )
/** What a store may hold: good values, damaged ones, anything at all, and nothing (null). */
export const fuzzedValue = fc.oneof(
  { weight: 4, arbitrary: mutated },
  { weight: 2, arbitrary: fc.constantFrom(...Object.values(GOOD)) },
  { weight: 1, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
)
/** The keys of `GOOD`, and now and then one that is spoilt. */
export const fuzzedKey = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...Object.keys(GOOD)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...Object.keys(GOOD)), fc.nat(60), fc.string({ unit: 'binary', maxLength: 2 }))
      .map(([text, at, piece]) => text.slice(0, at) + piece + text.slice(at + 1)),
  },
)
