import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { parseSelector, type Selector } from '../../src/model/selector.ts'
import type { ModelChange } from '../../src/model/values.ts'
import { AddressSet } from '../../src/policy/address-set.ts'
import { DeltaTracker } from '../../src/policy/delta-tracker.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { LabelIndex } from '../../src/policy/label-index.ts'
import { inheritLabels, LabelPool } from '../../src/policy/label-pool.ts'
import { MultiMap } from '../../src/policy/multi-map.ts'
import { mayPick, SelectorIndex } from '../../src/policy/selector-index.ts'
import { SELECTORS } from './support/random-world.ts'
import { endpoint, HERE, policy, ruleSet, rules, tier } from './support/world.ts'

const labelMap = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', 'z')), { maxLength: 3 })
  .map(pairs => new Map(pairs))
const selectorText = fc.oneof(
  fc.constantFrom(...SELECTORS, "c in {'x','z'}", "has(a) && c == 'y'", 'has(b) && has(c)'),
  fc
    .tuple(fc.constantFrom(...SELECTORS), fc.constantFrom('&&', '||'), fc.constantFrom(...SELECTORS))
    .map(([left, sign, right]) => `(${left}) ${sign} !(${right})`),
)

t.test('both indexes find what holding everything against everything finds', async () => {
  const step = fc.tuple(fc.boolean(), fc.nat(7), labelMap, selectorText)
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const pool = new LabelPool()
      const labels = new LabelIndex<{ at: number }>()
      const selectors = new SelectorIndex<number>()
      const endpoints = new Map<number, { item: { at: number }; shared: ReturnType<LabelPool['hold']> }>()
      const filed = new Map<number, Selector>()
      for (const [endpointTurn, at, map, text] of steps) {
        if (endpointTurn) {
          const old = endpoints.get(at)
          if (old === undefined) {
            const entry = { item: { at }, shared: pool.hold(map) }
            endpoints.set(at, entry)
            labels.add(entry.shared, entry.item)
          } else {
            labels.remove(old.shared, old.item)
            pool.release(old.shared)
            endpoints.delete(at)
          }
        } else {
          const old = filed.get(at)
          if (old === undefined) filed.set(at, parseSelector(text))
          else filed.delete(at)
          if (old === undefined) selectors.add(filed.get(at)!, at)
          else selectors.remove(old, at)
        }
        const selector = parseSelector(text)
        const picked = [...endpoints]
          .filter(([, { shared }]) => selector.matches(shared.labels))
          .map(([key]) => key)
        assert.deepEqual(Array.from(labels.picked(selector), item => item.at).sort(), picked.sort())
        const picking = [...filed].filter(([, each]) => each.matches(map)).map(([key]) => key)
        assert.deepEqual([...selectors.picking(map)].sort(), picking.sort())
        const possible = [...filed].filter(([, each]) => mayPick(each, map)).map(([key]) => key)
        assert.deepEqual([...selectors.possiblyPicking(map)].sort(), possible.sort())
      }
      for (const { shared } of endpoints.values()) pool.release(shared)
      assert.equal(pool.size, 0)
    }),
    { numRuns: 200 },
  )
})

t.test('what a selector may pick, it may pick with more labels too', async t => {
  let ruledOut = 0
  fc.assert(
    fc.property(selectorText, labelMap, labelMap, (text, certain, more) => {
      const selector = parseSelector(text)
      const whole = new Map([...more, ...certain])
      if (selector.matches(whole)) assert.ok(mayPick(selector, certain))
      if (!mayPick(selector, certain)) ruledOut++
    }),
    { numRuns: 1000 },
  )
  t.ok(ruledOut > 20, `and it rules some out: ${ruledOut}`)
})

t.test('a map to several values', async t => {
  const map = new MultiMap<string, string>()
  map.delete('a', 'none')
  map.add('a', 'one')
  map.add('a', 'one')
  t.same(map.of('a'), ['one'])
  map.add('a', 'two')
  map.add('a', 'three')
  t.equal(map.count('a'), 3)
  map.delete('a', 'none')
  map.delete('a', 'one')
  map.delete('a', 'three')
  t.same(map.of('a'), ['two'])
  map.delete('a', 'other')
  t.ok(map.has('a'))
  map.delete('a', 'two')
  t.notOk(map.has('a'))
  t.equal(map.count('a'), 0)
  t.same([map.size, ...map.keys()], [0])
})

t.test('equal labels are one object, whatever their order', async t => {
  const pool = new LabelPool()
  const one = pool.hold(
    new Map([
      ['a', 'x'],
      ['b', 'y'],
    ]),
  )
  const same = pool.hold(
    new Map([
      ['b', 'y'],
      ['a', 'x'],
    ]),
  )
  t.equal(one, same)
  t.not(one, pool.hold(new Map([['a', 'x","b","y']])), 'no text of a value makes two alike')
  t.equal(pool.size, 2)
  pool.release(one)
  t.equal(
    pool.hold(
      new Map([
        ['a', 'x'],
        ['b', 'y'],
      ]),
    ),
    one,
  )
})

t.test('inherited labels', async t => {
  const own = new Map([['a', 'own']])
  t.equal(inheritLabels(own, [new Map(), new Map()]), own, 'nothing to inherit, nothing copied')
  const merged = inheritLabels(own, [
    new Map([
      ['a', '1'],
      ['b', '1'],
    ]),
    new Map([
      ['b', '2'],
      ['c', '2'],
    ]),
  ])
  t.same(
    [...merged],
    [
      ['a', 'own'],
      ['b', '1'],
      ['c', '2'],
    ],
  )
})

t.test('an address leaves with its last owner, and a delta says it once', async t => {
  const set = new AddressSet()
  set.add('10.0.0.1')
  set.add('10.0.0.1')
  set.add('fd00::1')
  t.same(set.take(), {
    created: true,
    removed: false,
    added: [
      { family: 4, address: '10.0.0.1' },
      { family: 6, address: 'fd00::1' },
    ],
    deleted: [],
  })
  set.remove('10.0.0.1')
  t.equal(set.take(), null)
  set.remove('10.0.0.1')
  set.remove('10.0.0.1')
  set.add('10.0.0.2')
  set.remove('fd00::1')
  set.add('fd00::1')
  const member = (address: string) => ({ family: 4, address })
  t.same(set.take(), {
    created: false,
    removed: false,
    added: [member('10.0.0.2')],
    deleted: [member('10.0.0.1')],
  })
})

t.test('tracked values', async t => {
  const tracker = new DeltaTracker<string, { n: number }>()
  tracker.set('a', { n: 1 })
  tracker.set('b', { n: 1 })
  tracker.set('b', null)
  t.same([...tracker.take()], [['a', { before: null, now: { n: 1 } }]])
  const kept = tracker.get('a')
  tracker.set('a', { n: 1 })
  t.equal(tracker.get('a'), kept, 'an equal value is not even taken over')
  tracker.set('a', { n: 2 })
  tracker.set('a', { n: 1 })
  t.equal(tracker.take().size, 0)
  tracker.set('a', null)
  t.same([...tracker.take()], [['a', { before: { n: 1 }, now: null }]])
  t.equal(tracker.size, 0)
})

/** A selector that tells how often it is held against labels. */
class Counter {
  evaluations = 0

  selector(text: string): Selector {
    const real = parseSelector(text)
    return {
      ...real,
      matches: labels => {
        this.evaluations++
        return real.matches(labels)
      },
    }
  }

  policy(id: string, selector: string, source: string): ModelChange {
    const rule = { action: 'allow', is: { srcSelector: this.selector(source) }, not: {} } as const
    const value = { ...ruleSet([]), inbound: [rule], selector: this.selector(selector), order: 1 }
    return { kind: 'policy', id, value }
  }

  /** How many evaluations `changes` cost. */
  cost(engine: PolicyEngine, ...changes: readonly ModelChange[]): number {
    this.evaluations = 0
    for (const change of changes) engine.update(change)
    engine.take()
    return this.evaluations
  }
}

/** 20 local endpoints, and a cluster and a set of policies as large as told. */
function largeWorld(counter: Counter, policies: number, endpoints: number): PolicyEngine {
  const engine = new PolicyEngine(HERE)
  engine.update(tier('t', 1))
  engine.update(rules('p', [{}]))
  for (let at = 0; at < 20; at++)
    engine.update(endpoint(`w${at}`, { addresses: [`10.0.0.${at}`], labels: { app: `app-${at}` } }))
  for (let at = 0; at < endpoints; at++) {
    const addresses = [`10.1.${at >> 8}.${at & 255}`]
    engine.update(endpoint(`there/w${at}`, { addresses, labels: { app: `app-${at % 500}`, name: `n${at}` } }))
  }
  for (let at = 0; at < policies; at++)
    engine.update(counter.policy(`t/p${at}`, `app == 'app-${at}'`, `app == 'app-${at + 1}' && name != 'x'`))
  engine.take()
  return engine
}

t.test('an edit costs the same whatever else there is', async t => {
  const edits: readonly (readonly [name: string, (counter: Counter) => ModelChange[], most: number])[] = [
    [
      'equal policy',
      counter => [counter.policy('t/p3', "app == 'app-3'", "app == 'app-4' && name != 'x'")],
      0,
    ],
    ['other rules', () => [policy('t/p3', "app == 'app-3'", [{ protocol: 'tcp' }], [], 1)], 0],
    ['a new set', counter => [counter.policy('t/p3', "app == 'app-3'", "app == 'app-7' && has(name)")], 5],
    [
      'other selector',
      counter => [counter.policy('t/p3', "app == 'app-5'", "app == 'app-7' && has(name)")],
      1,
    ],
    ['policy of nobody here', counter => [counter.policy('t/new', "app == 'app-9999'", 'has(app)')], 0],
    ['profile rules', () => [rules('p', [])], 0],
    [
      'endpoint elsewhere',
      () => [endpoint('there/w7', { addresses: ['10.1.0.7'], labels: { app: 'app-1', name: 'n7' } })],
      3,
    ],
    ['endpoint here', () => [endpoint('w3', { addresses: ['10.0.0.3'], labels: { app: 'app-4' } })], 3],
    [
      'an equal endpoint',
      () => [endpoint('there/w9', { addresses: ['10.1.0.9'], labels: { name: 'n9', app: 'app-9' } })],
      0,
    ],
    ['an endpoint goes', () => [endpoint('there/w8', null)], 1],
  ]
  const figures = [
    [20, 500],
    [1000, 500],
    [1000, 2000],
  ].map(([policies, endpoints]) => {
    const counter = new Counter()
    const engine = largeWorld(counter, policies!, endpoints!)
    return edits.map(([, edit]) => counter.cost(engine, ...edit(counter)))
  })
  for (const [at, [name, , most]] of edits.entries()) {
    const costs = figures.map(each => each[at]!)
    t.ok(Math.max(...costs) <= most, `${name}: ${costs} evaluations, at most ${most}`)
  }
})

t.test('a set of many members is made from its candidates alone', async t => {
  const counter = new Counter()
  const engine = largeWorld(counter, 10, 2000)
  // 2000 endpoints over 500 apps: four have the label, each with a name of its own, and one is local.
  t.equal(
    counter.cost(engine, counter.policy('t/p3', "app == 'app-3'", "app == 'app-19' && has(name)")),
    4 + 1,
  )
})
