import fc from 'fast-check'
import t from 'tap'
import type { HeldKey } from '../../../src/runtime/controller/held-tree.ts'
import { planUnit, type UnitChange } from '../../../src/runtime/controller/plan.ts'
import { fitting, transactionsOf } from '../../../src/runtime/controller/transactions.ts'
import { KeysByUnit, type Unit, unitOf } from '../../../src/runtime/controller/unit.ts'
import {
  attached,
  endpointKey,
  endpointText,
  podTree,
  policyKey,
  policyText,
  profileKey,
  tierKey,
  treeOf,
} from './support/tree.ts'

const MOST_OPERATIONS = 128

function planned(
  wanted: ReadonlyMap<string, string>,
  held: ReadonlyMap<string, string>,
  overdue?: (key: string) => boolean,
): UnitChange[] {
  const wantedUnits = new KeysByUnit<string>()
  const heldUnits = new KeysByUnit<HeldKey>()
  const units = new Set<Unit>()
  for (const [key, value] of wanted) {
    const unit = unitOf(key)
    if (unit === null) throw new Error(`${key} belongs to no unit`)
    wantedUnits.set(unit, key, value)
    units.add(unit)
  }
  for (const [key, value] of held) {
    const unit = unitOf(key)
    if (unit === null) continue
    heldUnits.set(unit, key, { value, modRevision: 1n })
    units.add(unit)
  }
  return [...units].map(unit => planUnit(unit, wantedUnits.of(unit), heldUnits.of(unit), overdue))
}

function carriedOut(plans: readonly UnitChange[], held: ReadonlyMap<string, string>): Map<string, string> {
  const tree = new Map(held)
  for (const { key, value } of transactionsOf(plans)
    .flat()
    .flatMap(plan => plan.changes))
    if (value === null) tree.delete(key)
    else tree.set(key, value)
  return tree
}

/** Units in the order in which they are written. */
function order(plans: readonly UnitChange[]): Unit[] {
  return transactionsOf(plans).flatMap(transaction => transaction.map(({ unit }) => unit))
}

t.test('which keys belong together', async t => {
  const same = [endpointKey('a/b.c'), endpointKey('a/b.c', 'node2'), profileKey('a/b.c', 'tags')]
  for (const key of same) t.equal(unitOf(key), 'pod a/b.c', key)
  const policies = [policyKey('a.b'), policyKey('annotated_a.b'), policyKey('a.b', 'egress')]
  for (const key of policies) t.equal(unitOf(key), 'policy a.b', key)
  t.equal(unitOf(tierKey('ingress')), 'tier kubernetes-ingress')
  const others = [
    '/calico/v1/Ready',
    '/calico/v1/config/InterfacePrefix',
    '/calico/v1/host/n/workload/docker/a.b/endpoint/eth0',
    '/calico/v1/host/n/workload/k8s/nodots/endpoint/eth0',
    '/calico/v1/host/n/endpoint/eth0',
    '/calico/v1/policy/profile/web/rules',
    '/calico/v1/policy/profile/Web_Front/rules',
    '/calico/v1/policy/tier/mine/policy/a.b',
    '/podfence/controller/holder',
  ]
  for (const key of others) t.equal(unitOf(key), null, key)
})

t.test('what others wrote by hand stays', async t => {
  const byHand = new Map([
    [endpointKey('web/mine'), JSON.stringify({ state: 'active', name: 'cali1', profile_ids: ['web_mine'] })],
    [endpointKey('web/broken'), '{'],
    [profileKey('web/mine', 'rules'), '{"inbound_rules":[]}'],
    [profileKey('web/mine', 'labels'), '{"app":"mine"}'],
    [profileKey('web/tagged', 'tags'), '["web_tagged"]'],
    ['/calico/v1/policy/profile/web/rules', '{}'],
    ['/calico/v1/policy/tier/mine/metadata', '{"order":1}'],
  ])
  const stale = treeOf(
    podTree('web/gone'),
    podTree('dev/gone', { noNamespace: true }),
    new Map([[policyKey('x'), '{']]),
  )
  const held = new Map([...byHand, ...stale])
  t.strictSame(carriedOut(planned(treeOf(), held), held), new Map([...byHand, ...treeOf()]))
})

t.test('a pod that moved leaves its old node in the same transaction', async t => {
  const held = treeOf(podTree('a/b', { node: 'old' }))
  const wanted = treeOf(podTree('a/b', { node: 'new' }))
  const [transaction] = transactionsOf(planned(wanted, held))
  t.same(
    transaction!.flatMap(({ changes }) => changes.map(({ key, value }) => [key, value === null])),
    [
      [endpointKey('a/b', 'new'), false],
      [endpointKey('a/b', 'old'), true],
    ],
  )
})

t.test('what the plugin has just attached waits for its pod', async t => {
  const held = treeOf(new Map([[endpointKey('a/b'), attached(null, ['10.1.0.1/32'])]]))
  const plans = planned(treeOf(), held)
  t.same(transactionsOf(plans), [])
  t.same(
    plans.flatMap(({ expected }) => expected),
    [endpointKey('a/b')],
  )
  t.strictSame(
    carriedOut(
      planned(treeOf(), held, () => true),
      held,
    ),
    treeOf(),
    'not for ever',
  )
  const pod = podTree('a/b', { nets: ['10.1.0.1/32'] })
  const taken = carriedOut(planned(treeOf(pod), held), held)
  t.match(JSON.parse(taken.get(endpointKey('a/b'))!), {
    sandbox: 'sandbox-1',
    labels: { 'podfence/namespace': 'a' },
  })
  t.strictSame(carriedOut(planned(treeOf(), taken), taken), treeOf(), 'a pod that was there and is gone')
})

t.test('an order that opens nothing in between', async t => {
  const held = new Map([...podTree('a/gone'), [policyKey('a.gone'), policyText()], ...podTree('a/moved')])
  const wanted = treeOf(
    podTree('a/moved', { node: 'new' }),
    podTree('a/new'),
    new Map([[policyKey('a.new'), policyText()]]),
  )
  t.same(order(planned(wanted, held)), [
    'tier kubernetes-ingress',
    'tier kubernetes-egress',
    'pod a/gone',
    'policy a.new',
    'pod a/moved',
    'pod a/new',
    'policy a.gone',
  ])
})

t.test('what is too large for etcd closes', async t => {
  const rules = Array.from({ length: 20_000 }, (_, at) => ({
    action: 'allow',
    src_net: `10.${at >> 8}.${at & 255}.0/24`,
    protocol: 'tcp',
  }))
  const wanted = treeOf(new Map([[policyKey('a.large'), policyText('all()', rules)]]), podTree('a/b'))
  const plans = planned(wanted, new Map())
  const large = plans.find(({ unit }) => unit === 'policy a.large')!
  const closed = fitting(large)!
  t.same(
    JSON.parse(closed.changes[0]!.value!),
    JSON.parse(policyText()),
    'its selector and short lists stand',
  )
  const small = plans.find(({ unit }) => unit === 'pod a/b')!
  t.equal(fitting(small), small)
  const hopeless = {
    ...large,
    changes: [{ key: policyKey('a.large'), value: 'x'.repeat(2_000_000), modRevision: 0n }],
  }
  t.equal(fitting(hopeless), null)
})

t.test('a policy whose selector is too large for etcd closes its namespace, and allows nothing', async t => {
  const selector = `podfence/namespace == 'web' && app in {${"'x', ".repeat(80_000)}'y'}`
  const allow = [{ action: 'allow' }]
  const pass = [{ action: 'next-tier' }]
  const text = (inbound: readonly object[], outbound: readonly object[], whom = selector) =>
    JSON.stringify({ selector: whom, order: 1000, inbound_rules: inbound, outbound_rules: outbound })
  const keys = [policyKey('web.large'), policyKey('annotated_web.large'), policyKey('web.large', 'egress')]
  const wanted = [text(allow, pass), text(pass, pass), text(pass, allow)]
  const held = new Map(keys.map(key => [key, text(allow, allow, 'all()')]))
  const [plan] = planned(new Map(keys.map((key, at) => [key, wanted[at]!])), held)
  const closed = (inbound: readonly object[], outbound: readonly object[]) =>
    JSON.parse(text(inbound, outbound, "podfence/namespace == 'web'"))
  t.strictSame(
    fitting(plan!)?.changes.map(({ key, value }) => [key, JSON.parse(value!)]),
    [
      [keys[0], closed([], pass)],
      [keys[1], closed([], pass)],
      [keys[2], closed(pass, [])],
    ],
  )
})

/** Any tree of a few pods and policies: as it is wanted, as others spoiled it, and with what others have put there. */
const names = fc.constantFrom('a/one', 'a/two', 'a/th.ree', 'b/one', 'b/four')
const nets = fc.subarray(['10.1.0.1/32', '10.1.0.2/32', 'fd00::1/128'])
const node = fc.constantFrom('node1', 'node2')
const podWords = fc.record({
  node,
  nets,
  labels: fc.constantFrom({}, { app: 'x' }),
  noNamespace: fc.boolean(),
})
const policyEntries = fc
  .dictionary(fc.constantFrom('a.p', 'annotated_a.p', 'b.q'), fc.constantFrom('all()', "a == 'b'"))
  .map(
    policies =>
      new Map(Object.entries(policies).map(([name, selector]) => [policyKey(name), policyText(selector)])),
  )
const wantedTree = fc
  .tuple(fc.dictionary(names, podWords), policyEntries)
  .map(([pods, policies]) =>
    treeOf(...Object.entries(pods).map(([pod, words]) => podTree(pod, words)), policies),
  )
const anyKey = fc.oneof(
  fc.tuple(names, node).map(([pod, at]) => endpointKey(pod, at)),
  fc
    .tuple(names, fc.constantFrom('rules', 'tags', 'labels'))
    .map(([pod, part]) => profileKey(pod, part as 'tags')),
  fc.constantFrom(
    policyKey('a.p'),
    policyKey('c.foreign'),
    tierKey('egress'),
    '/calico/v1/policy/profile/hand/rules',
  ),
)
const anyValue = fc.oneof(
  fc.constantFrom('', '{', '{}', 'null', '\u0000refused', '{"app":"x"}', '{"sandbox":1,"labels":[]}'),
  fc.tuple(names, nets).map(([pod, list]) => endpointText(pod, { nets: list })),
  fc.tuple(names, nets).map(([pod, list]) => attached(endpointText(pod), list)),
  nets.map(list => attached(null, list)),
)
const heldTree = fc
  .tuple(wantedTree, fc.array(fc.tuple(anyKey, anyValue)), fc.array(anyKey))
  .map(([tree, puts, deletes]) => {
    for (const [key, value] of puts) tree.set(key, value)
    for (const key of deletes) tree.delete(key)
    return tree
  })

t.test('any tree becomes the one that is wanted, and then nothing is left to do', async t => {
  fc.assert(
    fc.property(wantedTree, heldTree, (wanted, held) => {
      const plans = planned(wanted, held, () => true)
      const tree = carriedOut(plans, held)
      for (const [key, value] of wanted) {
        const there = tree.get(key)
        if (there === value) continue
        // The plugin's fields stand in an endpoint; all others are the controller's.
        const { labels, profile_ids } = JSON.parse(value)
        if (there === undefined || JSON.parse(there).sandbox === undefined) return false
        t.match(JSON.parse(there), { labels, profile_ids, taken_over: {} })
      }
      for (const [key, value] of tree) if (!wanted.has(key) && held.get(key) !== value) return false
      for (const key of held.keys())
        if (key.includes('/tier/') && !wanted.has(key) && tree.has(key)) return false
      for (const key of tree.keys()) {
        const reserved = /endpoint/.test(key) && /"podfence\/namespace"/.test(tree.get(key)!)
        if (reserved && !wanted.has(key)) return false
      }
      return planned(wanted, tree, () => true).every(({ changes }) => changes.length === 0)
    }),
    { numRuns: 2000 },
  )
})

/** What of a unit must be seen at once: all but endpoints that go from under other hosts. */
function core({ changes }: UnitChange): readonly string[] {
  const goes = changes.filter(({ key, value }) => value === null && key.includes('/endpoint/'))
  return changes.filter(change => !goes.includes(change)).map(({ key }) => key)
}

t.test('no transaction splits an object or is too long for etcd', async t => {
  const count = fc.integer({ min: 0, max: 300 })
  fc.assert(
    fc.property(count, count, heldTree, (pods, gone, held) => {
      const wanted = treeOf(...Array.from({ length: pods }, (_, at) => podTree(`many/p${at}`)))
      for (let at = 0; at < gone; at++) {
        for (const [key, value] of podTree(`many/p${pods + at}`)) held.set(key, value)
        held.set(endpointKey('many/p0', `node-${at}`), endpointText('many/p0'))
      }
      const plans = planned(wanted, held)
      const written = transactionsOf(plans).map(transaction => {
        const keys = transaction.flatMap(({ changes }) => changes.map(({ key }) => key))
        // The fence's condition comes on top.
        if (keys.length === 0 || keys.length + 1 > MOST_OPERATIONS) t.fail(`${keys.length} keys in one`)
        return new Set(keys)
      })
      for (const keys of plans.map(core))
        if (keys.length > 0 && !written.some(transaction => keys.every(key => transaction.has(key))))
          t.fail(`${keys} are not written together`)
      const all = plans.flatMap(({ changes }) => changes.map(({ key }) => key))
      return all.length === written.reduce((sum, { size }) => sum + size, 0)
    }),
    { numRuns: 100 },
  )
})
