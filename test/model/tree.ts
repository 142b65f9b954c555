import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { ModelTree } from '../../src/model/tree.ts'
import type { Broken, ModelChange, Policy, WorkloadEndpoint } from '../../src/model/values.ts'
import { refused } from '../../src/source/event.ts'
import {
  CONFIG,
  ENDPOINT,
  fuzzedKey,
  fuzzedValue,
  GOOD,
  HOST_ENDPOINT,
  LABELS,
  POLICY,
  RULES,
  TAGS,
  TIER,
} from './support/fuzzed-store.ts'

const snapshotOf = (object: Record<string, string>) => new Map(Object.entries(object))
const isBroken = (value: unknown): value is Broken<object> =>
  typeof value === 'object' && value !== null && 'broken' in value

t.test('a snapshot, and another', t => {
  const tree = new ModelTree()
  const first = tree.snapshot(
    snapshotOf({ ...GOOD, '/calico/v1/Ready': 'true', '/calico/v1/host/n1/bird_ip': '1' }),
  )
  t.match(first, [
    {
      kind: 'workload-endpoint',
      id: 'n1/k8s/web/eth0',
      value: { host: 'n1', interface: 'cali1', active: true },
    },
    { kind: 'profile-rules', id: 'web', value: { inbound: [{}, {}], outbound: [{}] } },
    { kind: 'profile-tags', id: 'web', value: ['a', 'b'] },
    { kind: 'profile-labels', id: 'web', value: new Map([['k', 'v']]) },
    { kind: 'tier', id: 't', value: { order: 10 } },
    { kind: 'policy', id: 't/p', value: { order: 1 } },
    { kind: 'host-endpoint', id: 'n1/eth0', value: { interface: 'eth0' } },
    { kind: 'config', id: 'InterfacePrefix', value: 'cali' },
  ])
  t.equal(first.length, 8)
  t.equal(tree.rejections().size, 0)
  t.strictSame(tree.snapshot(snapshotOf({ [TAGS]: '[]', [TIER]: GOOD[TIER]! })), [
    { kind: 'workload-endpoint', id: 'n1/k8s/web/eth0', value: null },
    { kind: 'profile-rules', id: 'web', value: null },
    { kind: 'profile-labels', id: 'web', value: null },
    { kind: 'policy', id: 't/p', value: null },
    { kind: 'host-endpoint', id: 'n1/eth0', value: null },
    { kind: 'config', id: 'InterfacePrefix', value: null },
    { kind: 'profile-tags', id: 'web', value: [] },
    { kind: 'tier', id: 't', value: { order: 10 } },
  ])
  t.strictSame(
    tree.snapshot(new Map()).map(change => change.kind),
    ['profile-tags', 'tier'],
  )
  t.strictSame(tree.snapshot(new Map()), [])
  t.end()
})

t.test('a rejection never replaces a good value', t => {
  for (const [key, good] of Object.entries(GOOD)) {
    if (key === CONFIG) continue
    const tree = new ModelTree()
    t.equal(tree.change([{ key, value: good }]).length, 1)
    t.strictSame(tree.change([{ key, value: '{' }]), [], key)
    t.match(tree.rejections().get(key), { key, reason: /not JSON/, remedy: /\.$/ })
    t.ok(tree.lastGoodStands(key))
    t.strictSame(tree.snapshot(new Map([[key, 'null']])), [], 'nor in a snapshot')
    t.match(tree.rejections().get(key)?.reason, /not null/)
    t.match(tree.change([{ key, value: good }]), [{ value: Object }])
    t.equal(tree.rejections().size, 0, 'a good value clears it')
    t.notOk(tree.lastGoodStands(key))
    tree.change([{ key, value: '5' }])
    t.match(tree.change([{ key, value: null }]), [{ value: null }], 'gone is gone')
    t.equal(tree.rejections().size, 0)
    t.strictSame(tree.change([{ key, value: null }]), [], 'and only once')
    const [broken] = tree.change([{ key, value: '5' }])
    t.ok(isBroken(broken?.value), 'what came before it went stands no more')
    t.notOk(tree.lastGoodStands(key))
  }
  t.end()
})

t.test('broken without a last good value', t => {
  const tree = new ModelTree()
  const bad = {
    [ENDPOINT]: '{"labels":{"a":"b"},"profile_ids":["web"]}',
    [POLICY]: '{"selector":"has(a)","order":5,"inbound_rules":[5]}',
  }
  const changes = tree.snapshot(
    snapshotOf({ ...bad, [RULES]: '[]', [TAGS]: '{}', [LABELS]: '[]', [TIER]: '', [HOST_ENDPOINT]: '{}' }),
  )
  t.match(changes, [
    {
      kind: 'workload-endpoint',
      value: {
        broken: {
          key: ENDPOINT,
          reason: 'state: nothing is not a state',
          remedy: 'Write "active" or "inactive".',
        },
        remains: { labels: new Map([['a', 'b']]), profiles: ['web'] },
      },
    },
    {
      kind: 'policy',
      value: {
        broken: { reason: 'inbound_rules[0]: this must be an object, not 5' },
        remains: { selector: { text: 'has(a)' }, order: 5 },
      },
    },
    { kind: 'profile-rules', value: { broken: { key: RULES }, remains: {} } },
    { kind: 'profile-tags', value: { broken: { key: TAGS } } },
    { kind: 'profile-labels', value: { broken: { key: LABELS } } },
    { kind: 'tier', value: { broken: { key: TIER } } },
    { kind: 'host-endpoint', value: { broken: { key: HOST_ENDPOINT } } },
  ])
  t.equal(tree.rejections().size, 7)
  t.match(
    tree.change([{ key: POLICY, value: '{"selector":"has(b)","inbound_rules":5}' }]),
    [
      {
        value: {
          broken: { reason: /must be a list/ },
          remains: { selector: { text: 'has(b)' }, order: Number.POSITIVE_INFINITY },
        },
      },
    ],
    'another bad value may leave something else',
  )
  t.match(tree.change([{ key: TIER, value: '{}' }]), [
    { kind: 'tier', value: { order: Number.POSITIVE_INFINITY } },
  ])
  t.equal(tree.rejections().size, 6)
  t.equal(
    tree.snapshot(new Map()).every(({ value }) => value === null),
    true,
  )
  t.equal(tree.rejections().size, 0)
  t.end()
})

t.test('keys that cannot be', t => {
  const tree = new ModelTree()
  const stray = '/calico/v1/policy/profile/web/rule'
  t.strictSame(tree.change([{ key: stray, value: '{}' }]), [])
  t.match(tree.rejections().get(stray), { reason: /no profile/ })
  t.notOk(tree.lastGoodStands(stray))
  t.strictSame(tree.change([{ key: stray, value: null }]), [])
  t.equal(tree.rejections().size, 0)
  tree.change([{ key: stray, value: '{}' }])
  t.strictSame(tree.snapshot(new Map()), [])
  t.equal(tree.rejections().size, 0)
  // A policy whose name is no id must still deny for those it selects.
  const slashed = '/calico/v1/policy/tier/t/policy/a/b'
  t.match(tree.change([{ key: slashed, value: GOOD[POLICY]! }]), [
    { kind: 'policy', id: 't/a%002fb', value: { broken: { key: slashed }, remains: { order: 1 } } },
  ])
  t.match(tree.change([{ key: slashed, value: null }]), [{ id: 't/a%002fb', value: null }])
  t.end()
})

t.test('a value that the source itself refused', t => {
  const tree = new ModelTree()
  t.match(tree.change([{ key: TAGS, value: refused('not UTF-8\u202e\n') }]), [
    { value: { broken: { reason: 'not UTF-8  ', remedy: /where it is kept/ } } },
  ])
  t.match(tree.change([{ key: CONFIG, value: refused('') }]), [{ kind: 'config', value: null }])
  t.equal(tree.rejections().get(CONFIG)?.reason, 'the source refused the value')
  tree.change([{ key: CONFIG, value: 'cali' }])
  t.strictSame(tree.change([{ key: CONFIG, value: refused('x'.repeat(999)) }]), [])
  t.equal(tree.rejections().get(CONFIG)?.reason.length, 300)
  t.end()
})

t.test('deep and huge values do no harm', t => {
  const tree = new ModelTree()
  const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`
  const wide = `{"${'k'.repeat(1_000_000)}":${deep}}`
  for (const key of Object.keys(GOOD))
    for (const value of [
      deep,
      wide,
      `{"inbound_rules":${deep}}`,
      `{"labels":{"a":${deep}}}`,
      `{"selector":"${'('.repeat(9999)}"}`,
    ]) {
      tree.change([{ key, value }])
      const reason = tree.rejections().get(key)?.reason ?? ''
      t.ok(reason.length < 200, `${key} ${reason.slice(0, 250)}`)
    }
  t.match(tree.rejections().get(POLICY)?.reason, /nested too deeply/)
  t.end()
})

const RUNS = Number(process.env.PODFENCE_FUZZ_RUNS ?? 2000)

function soundEndpoint(endpoint: WorkloadEndpoint): boolean {
  return (
    /^[A-Za-z0-9_.-]{1,15}$/.test(endpoint.interface ?? 'unknown') &&
    endpoint.addresses4.every(address => isIP(address) === 4) &&
    endpoint.addresses6.every(address => isIP(address) === 6) &&
    (endpoint.mac === null || /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(endpoint.mac))
  )
}

function soundPolicy(policy: Policy): boolean {
  return [...policy.inbound, ...policy.outbound].every(
    ({ is, logPrefix }) =>
      (logPrefix === undefined || /^[A-Za-z0-9_:-]{0,27}$/.test(logPrefix)) &&
      (is.dstPorts === undefined || is.protocol !== undefined) &&
      (is.icmpType === undefined || is.icmpType < 255),
  )
}

/** Whether a good value is fit for what follows, whatever was in the store. */
function sound({ kind, value }: ModelChange): boolean {
  if (value === null) return true
  if (isBroken(value))
    return value.broken.reason !== '' && /\.$/.test(value.broken.remedy) && kind !== 'config'
  if (kind === 'workload-endpoint') return soundEndpoint(value as WorkloadEndpoint)
  if (kind === 'policy' || kind === 'profile-rules') return soundPolicy(value as Policy)
  if (kind === 'profile-tags') return (value as string[]).every(tag => /^[A-Za-z0-9_.-]+$/.test(tag))
  return true
}

t.test(`fuzz: ${RUNS} histories of any keys and values`, async () => {
  const history = fc.array(fc.record({ key: fuzzedKey, value: fuzzedValue }), { minLength: 1, maxLength: 12 })
  const holds = (changes: { key: string; value: string | null }[], cut: number) => {
    const tree = new ModelTree()
    const store = new Map<string, string>()
    // What a reader of the changes knows, by object: good, broken or nothing.
    const known = new Map<string, 'good' | 'broken'>()
    const learn = (yielded: ModelChange[]) => {
      for (const change of yielded) {
        const object = `${change.kind} ${change.id}`
        if (!sound(change)) throw new Error(`unsound: ${JSON.stringify(change)}`)
        if (change.value === null) known.delete(object)
        else if (!isBroken(change.value)) known.set(object, 'good')
        else if (known.get(object) === 'good') throw new Error(`a rejection replaced a good value: ${object}`)
        else known.set(object, 'broken')
      }
    }
    for (const [at, change] of changes.entries()) {
      if (change.value === null) store.delete(change.key)
      else store.set(change.key, change.value)
      learn(at % (cut + 2) === 0 ? tree.snapshot(store) : tree.change([change]))
    }
    // A fresh tree over the same store rejects the same keys, and knows the same objects.
    const fresh = new ModelTree()
    const objects = new Set(
      fresh.snapshot(store).map(change => change.value !== null && `${change.kind} ${change.id}`),
    )
    const rejected = [...fresh.rejections()].map(([name, { reason }]) => `${name} ${reason}`).sort()
    const own = [...tree.rejections()].map(([name, { reason }]) => `${name} ${reason}`).sort()
    if (rejected.join() !== own.join()) return false
    return [...known.keys()].every(object => objects.has(object) || known.get(object) === 'good')
  }
  fc.assert(fc.property(history, fc.nat(4), holds), { numRuns: RUNS })
})
