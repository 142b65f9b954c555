import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { KubernetesTranslation } from '../../../src/model/kubernetes/translation.ts'
import { ModelTree } from '../../../src/model/tree.ts'
import type { KeyChange } from '../../../src/source/event.ts'
import { Cluster } from './support/cluster.ts'
import { NaiveKubernetes } from './support/naive-kubernetes.ts'
import { namespace } from './support/objects.ts'
import {
  ADDRESSES,
  NAMESPACES,
  OUTSIDE,
  objectChange,
  objectsAfter,
  options,
  PORTS,
  SETTLED_ADDRESSES,
  settledWorld,
} from './support/random-objects.ts'

const history = fc.array(fc.array(objectChange, { maxLength: 8 }), { maxLength: 12 })
const attachment = fc.option(
  fc.record({
    interface: fc.constantFrom('cali1', 'cali2'),
    mac: fc.constantFrom(null, '0a:00:00:00:00:01'),
    addresses: fc.subarray(ADDRESSES, { maxLength: 2 }),
    sandbox: fc.constant('s'),
    uid: fc.constantFrom(null, 'u1', 'u2'),
  }),
)

function applied(tree: Map<string, string>, changes: readonly KeyChange[]): void {
  for (const { key, value } of changes) {
    assert.notEqual(tree.get(key) ?? null, value, `${key}: only what differs is told`)
    if (value === null) tree.delete(key)
    else tree.set(key, value)
  }
  assert.equal(new Set(changes.map(({ key }) => key)).size, changes.length, 'each key is told once')
}

t.test('changes add up to what the present objects alone say, in whichever order they came', async t => {
  let policies = 0
  let named = 0
  fc.assert(
    fc.property(
      options,
      history,
      fc.array(fc.tuple(fc.constantFrom('x/a', 'y/b'), attachment, fc.nat(11)), { maxLength: 4 }),
      (settings, steps, attachments) => {
        const translation = new KubernetesTranslation(settings)
        const tree = new Map(translation.snapshot(new Map()))
        const seen: KeyChange[] = []
        const attached = new Map<string, Parameters<KubernetesTranslation['attach']>[1]>()
        steps.forEach((step, at) => {
          applied(tree, translation.change(step))
          seen.push(...step)
          for (const [pod, what, when] of attachments) {
            if (when !== at) continue
            applied(tree, translation.attach(pod, what))
            attached.set(pod, what)
          }
          const objects = [...objectsAfter(seen)]
          for (const entries of [objects, objects.reverse()]) {
            const fresh = new KubernetesTranslation(settings)
            for (const [pod, what] of attached) fresh.attach(pod, what)
            assert.deepEqual(fresh.snapshot(new Map(entries)), tree)
            assert.deepEqual(fresh.problems(), translation.problems())
          }
        })
        for (const [key, value] of tree) {
          if (key.includes('/policy/tier/kubernetes-')) policies++
          if (value.includes('podfence/port.')) named++
        }
        // A new list that says the same says nothing new, and one of another world says just that.
        assert.deepEqual(translation.snapshot(objectsAfter(seen)), tree)
        assert.deepEqual(translation.change([]), [])
        const half = objectsAfter(seen.slice(0, seen.length / 2))
        const other = new KubernetesTranslation(settings)
        for (const [pod, what] of attached) other.attach(pod, what)
        assert.deepEqual(translation.snapshot(half), other.snapshot(half))
      },
    ),
    { numRuns: 150 },
  )
  t.ok(policies > 500, `there are policies: ${policies}`)
  t.ok(named > 100, `and named ports: ${named}`)
})

t.test(
  'what comes of good objects can be read, but for labels of namespaces that are not known',
  async () => {
    fc.assert(
      fc.property(options, fc.array(objectChange, { maxLength: 40 }), (settings, changes) => {
        const model = new ModelTree()
        const objects = objectsAfter(changes)
        model.snapshot(new KubernetesTranslation(settings).snapshot(objects))
        for (const key of model.rejections().keys()) assert.match(key, /\/labels$/)
        for (const name of NAMESPACES) objects.set(namespace(name).key, namespace(name).value!)
        model.snapshot(new KubernetesTranslation(settings).snapshot(objects))
        assert.deepEqual([...model.rejections()], [])
      }),
      { numRuns: 150 },
    )
  },
)

const question = fc.record({
  source: fc.constantFrom(...SETTLED_ADDRESSES, ...OUTSIDE),
  destination: fc.constantFrom(...SETTLED_ADDRESSES, ...OUTSIDE),
  protocol: fc.constantFrom('tcp', 'tcp', 'udp', 'sctp', 'icmp'),
  port: fc.constantFrom(...PORTS, 100),
})

t.test('packets pass as the words of the API and of the design have it', async t => {
  const seen = { passed: 0, dropped: 0 }
  fc.assert(
    fc.property(
      options,
      settledWorld,
      fc.array(objectChange, { maxLength: 5 }),
      fc.array(question, { minLength: 60, maxLength: 60 }),
      (settings, world, changes, questions) => {
        const cluster = new Cluster(settings, ...world)
        cluster.apply(...changes)
        const naive = new NaiveKubernetes(settings, objectsAfter([...world, ...changes]))
        for (const each of questions) {
          const { source, destination, protocol, port } = each
          const isOneFamily = source.includes(':') === destination.includes(':')
          if (!isOneFamily || !naive.isPlain(source) || !naive.isPlain(destination)) continue
          const passes = cluster.passes(source, destination, `${protocol}/${port}`)
          seen[passes ? 'passed' : 'dropped']++
          assert.equal(passes, naive.passes(each), JSON.stringify(each))
        }
      },
    ),
    { numRuns: 300 },
  )
  t.ok(Math.min(seen.passed, seen.dropped) > 1000, `both happen often: ${JSON.stringify(seen)}`)
})

/** Any value, more often one that looks like an object of Kubernetes here and there. */
const anything = fc.oneof(
  fc.string(),
  fc.json(),
  fc
    .record(
      {
        metadata: fc.oneof(
          fc.jsonValue(),
          fc.record({ labels: fc.jsonValue(), annotations: fc.jsonValue() }),
        ),
        spec: fc.oneof(
          fc.jsonValue(),
          fc.record(
            {
              nodeName: fc.oneof(fc.constant('n1'), fc.jsonValue()),
              containers: fc.jsonValue(),
              podSelector: fc.jsonValue(),
              policyTypes: fc.jsonValue(),
              ingress: fc.oneof(
                fc.jsonValue(),
                fc.array(fc.record({ from: fc.jsonValue(), ports: fc.jsonValue() }, { requiredKeys: [] })),
              ),
              egress: fc.jsonValue(),
            },
            { requiredKeys: [] },
          ),
        ),
        status: fc.oneof(fc.jsonValue(), fc.record({ podIPs: fc.jsonValue(), phase: fc.jsonValue() })),
      },
      { requiredKeys: [] },
    )
    .map(object => JSON.stringify(object)),
)

t.test(
  'whatever an object holds, nothing throws, no other object is disturbed, and nothing of it opens',
  async t => {
    let refused = 0
    fc.assert(
      fc.property(
        options,
        fc.array(objectChange, { maxLength: 10 }),
        fc.constantFrom('pods/x/bad', 'networkpolicies/x/bad'),
        anything,
        (settings, changes, name, value) => {
          const key = `/kubernetes/${name}`
          const objects = objectsAfter([...changes, namespace('x')])
          const without = new KubernetesTranslation(settings).snapshot(objects)
          const translation = new KubernetesTranslation(settings)
          const tree = translation.snapshot(new Map([...objects, [key, value]]))
          const isOwn = (each: string) => /x[._]bad/.test(each)
          // A pod that can be read may have a profile and named ports that others do not know yet.
          if (translation.problems().has(key)) {
            refused++
            assert.deepEqual(
              [...tree].filter(([each]) => !isOwn(each)),
              [...without],
            )
            for (const [each, text] of tree)
              if (isOwn(each) && name.startsWith('networkpolicies')) assert.doesNotMatch(text, /"allow"/)
          }
          const model = new ModelTree()
          model.snapshot(tree)
          for (const each of model.rejections().keys()) assert.match(each, /\/labels$|x\.bad/)
        },
      ),
      { numRuns: 500 },
    )
    t.ok(refused > 100, `many are refused: ${refused}`)
  },
)
