import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { refused } from '../../../src/source/event.ts'
import { Cluster, PLAIN } from './support/cluster.ts'
import { gone, namespace, pod, policy } from './support/objects.ts'

interface ValidationCase {
  readonly name: string
  readonly valid: boolean
  readonly why: string
  readonly policy: { readonly spec: { readonly podSelector?: object; readonly policyTypes?: string[] } }
}

const CASES = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../cases/netpol-validation.json'), 'utf8'),
) as ValidationCase[]

const [A, B, OUTSIDE] = ['10.0.0.1', '10.0.0.2', '192.0.2.1']
const WORLD = [namespace('x'), namespace('y'), pod('x/a', { ips: [A] }), pod('y/b', { ips: [B] })]

t.test('the API server accepts exactly the valid ones, and the rest is closed with a reason', async t => {
  t.equal(CASES.length, 34)
  for (const { name, valid, why, policy: object } of CASES) {
    const { key } = policy(`x/${name}`, {})
    const cluster = new Cluster(PLAIN, ...WORLD, { key, value: JSON.stringify(object) })
    const problem = cluster.problem(`networkpolicies/x/${name}`)
    t.equal(cluster.model.rejections().size, 0, `${name}: what comes of it can be read`)
    if (valid) {
      t.equal(problem, undefined, `${name}: accepted (${why})`)
      continue
    }
    t.ok(problem?.reason, `${name}: ${problem?.reason}`)
    t.ok(problem?.remedy, `${name}: ${problem?.remedy}`)
    const types = object.spec.policyTypes?.filter(type => type === 'Ingress' || type === 'Egress') ?? []
    const ingress = types.length === 0 || types.includes('Ingress')
    const egress = types.length === 0 ? object.spec.policyTypes !== undefined : types.includes('Egress')
    for (const [protocol, port] of [
      ['tcp', 80],
      ['tcp', 10000],
      ['udp', 53],
      ['sctp', 80],
      ['icmp', 0],
    ])
      for (const peer of [OUTSIDE, B]) {
        const what = `${protocol}/${port}`
        t.equal(cluster.passes(peer, A, what), !ingress, `${name}: ${what} from ${peer}`)
        t.equal(cluster.passes(A, peer, what), !egress, `${name}: ${what} to ${peer}`)
      }
    t.ok(cluster.passes(OUTSIDE, B), `${name}: other namespaces go on`)
  }
})

t.test('what more the API server refuses', async t => {
  const peer = (from: unknown) => ({ ingress: [{ from: [from] }] })
  const port = (each: unknown) => ({ ingress: [{ ports: [each] }] })
  const pods = (podSelector: unknown) => ({ podSelector })
  const cases: [spec: unknown, reason: RegExp][] = [
    ['text', /^spec: this must be an object/],
    [pods([]), /^spec.podSelector: this must be an object/],
    [pods({ matchLabels: { 'a b': 'c' } }), /^spec.podSelector.matchLabels: "a b" is not the key/],
    [pods({ matchLabels: { 'A.io/b': 'c' } }), /is not the key/],
    [pods({ matchLabels: { 'a/b/c': 'c' } }), /is not the key/],
    [pods({ matchLabels: { [`${'a'.repeat(64)}`]: 'c' } }), /is not the key/],
    [pods({ matchLabels: { a: "b' || has(x) || a == 'b" } }), /is not the value/],
    [pods({ matchLabels: { a: 1 } }), /1 is not the value/],
    [pods({ matchLabels: { a: '-b' } }), /is not the value/],
    [
      pods({ matchExpressions: [{ key: 'a', operator: 'In', values: ['a"b'] }] }),
      /values\[0\]: .* is not the value/,
    ],
    [pods({ matchExpressions: [{ key: 'a', operator: 'NotIn', values: null }] }), /NotIn needs values/],
    [pods({ matchExpressions: [{ operator: 'Exists' }] }), /key: nothing is not the key/],
    [pods({ matchExpressions: {} }), /must be a list/],
    [{ ingress: {} }, /^spec.ingress: this must be a list/],
    [{ ingress: ['all'] }, /^spec.ingress\[0\]: this must be an object/],
    [{ egress: [{ to: 'all' }] }, /^spec.egress\[0\].to: this must be a list/],
    [peer({ ipBlock: { cidr: 'pods' } }), /"pods" is not a network/],
    [
      peer({ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.1'] } }),
      /except\[0\]: "10.0.0.1" is not a network/,
    ],
    [peer({ ipBlock: { cidr: 'fd00::/129' } }), /is not a network/],
    [peer({ podSelektor: {} }), /an empty peer names nobody/],
    [
      peer({ podSelector: { matchLabels: { a: '.' } } }),
      /^spec.ingress\[0\].from\[0\].podSelector.matchLabels/,
    ],
    [
      peer({ namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'in' }] } }),
      /^spec.ingress\[0\].from\[0\].namespaceSelector.matchExpressions\[0\].operator/,
    ],
    [port({ port: '' }), /is not the name of a port/],
    [port({ port: '-http' }), /is not the name of a port/],
    [port({ port: 80.5 }), /80.5 is not a port/],
    [port({ port: true }), /true is not a port/],
    [port({ port: -1 }), /-1 is not a port/],
    [port({ port: 80, endPort: 79 }), /79 lies before the port 80/],
    [port({ port: 80, endPort: '90' }), /"90" is not a port/],
    [port({ port: 'http', protocol: 6 }), /6 is not a protocol/],
    [{ policyTypes: 'Ingress' }, /^spec.policyTypes: this must be a list/],
    // The API checks lists also of a direction that the types leave out.
    [{ policyTypes: ['Egress'], ingress: [{ ports: [{ port: 0 }] }] }, /0 is not a port/],
  ]
  for (const [spec, reason] of cases) {
    const { key } = policy('x/p', {})
    const cluster = new Cluster(PLAIN, ...WORLD, { key, value: JSON.stringify({ spec }) })
    t.match(cluster.problem('networkpolicies/x/p')?.reason, reason, JSON.stringify(spec))
    t.equal(cluster.model.rejections().size, 0)
  }
})

t.test('what is closed where the object says less and less', async t => {
  const bad = [{ ports: [{ port: 0 }] }]
  const web = { matchLabels: { app: 'web' } }
  const cases: [value: string, selector: string, ingress: boolean, egress: boolean][] = [
    [JSON.stringify({ spec: { podSelector: web, ingress: bad } }), " && app == 'web'", true, false],
    [JSON.stringify({ spec: { podSelector: web, egress: bad } }), " && app == 'web'", true, true],
    [
      JSON.stringify({ spec: { podSelector: web, policyTypes: ['Egress'], egress: bad } }),
      " && app == 'web'",
      false,
      true,
    ],
    [JSON.stringify({ spec: { podSelector: web, policyTypes: ['Egres'] } }), " && app == 'web'", true, true],
    [JSON.stringify({ spec: { podSelector: web, egress: 'none' } }), " && app == 'web'", true, true],
    [JSON.stringify({ spec: { podSelector: { matchLabels: [] } } }), '', true, false],
    [JSON.stringify({ spec: [] }), '', true, true],
    ['[]', '', true, true],
    ['{', '', true, true],
    [refused('it was no UTF-8'), '', true, true],
  ]
  for (const [value, selector, ingress, egress] of cases) {
    const cluster = new Cluster(PLAIN, ...WORLD, { key: policy('x/p', {}).key, value })
    const text = `podfence/namespace == 'x'${selector}`
    const closed = (inbound: object[], outbound: object[]) => ({
      selector: text,
      inbound_rules: inbound,
      outbound_rules: outbound,
    })
    const next = [{ action: 'next-tier' }]
    t.match(cluster.policy('ingress', 'x.p') ?? null, ingress ? closed([], next) : null, value)
    t.match(cluster.policy('egress', 'x.p') ?? null, egress ? closed(next, []) : null, value)
    const { effect } = cluster.problem('networkpolicies/x/p')!
    t.match(effect, text)
    t.equal(effect.includes('ingress'), ingress, effect)
    t.equal(effect.includes('egress'), egress, effect)
  }
})

t.test('the last good version stands, also over a new list, till the object goes', async t => {
  const good = policy('x/p', { ingress: [{ ports: [{ port: 80 }] }] })
  const bad = policy('x/p', { ingress: [{ ports: [{ port: 0 }] }] })
  const cluster = new Cluster(PLAIN, ...WORLD, good)
  t.same(cluster.apply(bad), [])
  t.match(cluster.problem('networkpolicies/x/p'), { reason: /0 is not a port/, effect: /last good/ })
  const entries = new Map([...WORLD, bad].map(({ key, value }) => [key, value!]))
  t.same(cluster.translation.snapshot(entries), cluster.tree)
  t.equal(cluster.apply(policy('x/p', { ingress: [] })).length, 1)
  t.equal(cluster.problem('networkpolicies/x/p'), undefined)
  t.equal(cluster.apply(gone(good)).length, 1)
  t.match(cluster.apply(bad), [{ value: /"inbound_rules":\[\]/ }])
  t.same(cluster.apply(policy('x/p', { ingress: [{ ports: [{ port: 'no--name' }] }] })), [], 'still closed')
  t.match(cluster.problem('networkpolicies/x/p'), { reason: /no--name/, effect: /allows nothing/ })
})

t.test('names that no object can have disturb nothing, and clash with nothing', async t => {
  const cluster = new Cluster(
    PLAIN,
    ...WORLD,
    policy('annotated_x/p', {}),
    policy('x/Upper', { ingress: [{}] }),
    namespace('Y_2', { a: 'b' }),
    { key: pod('x/A_b', {}).key, value: pod('x/a', {}).value },
    { key: pod('X/b', {}).key, value: pod('x/b', {}).value },
    { key: pod('x/c', {}).key, value: pod('x/c', { node: 'No_Node' }).value },
    { key: '/kubernetes/nodes/n1', value: '{' },
    { key: '/kubernetes/services/x/s', value: '{' },
    { key: '/other', value: '{' },
  )
  t.same(
    [...cluster.translation.problems().keys()].sort(),
    [
      'namespaces/Y_2',
      'networkpolicies/annotated_x/p',
      'networkpolicies/x/Upper',
      'pods/X/b',
      'pods/x/A_b',
      'pods/x/c',
    ].map(key => `/kubernetes/${key}`),
  )
  t.equal(cluster.model.rejections().size, 0)
  t.notOk(cluster.passes(OUTSIDE, A), 'the policy of a bad name closes')
  t.same(
    [...cluster.tree.keys()].filter(key => /annotated|Y_2|X\.|A_b|No_Node/.test(key)),
    [],
  )
})

t.test('a bad object never disturbs another', async t => {
  const allow = policy('x/allow', { ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/24' } }] }] })
  const cluster = new Cluster(PLAIN, ...WORLD, allow, policy('x/bad', { ingress: 'all' }))
  t.ok(cluster.passes(OUTSIDE, A), 'what another policy allows is allowed')
  t.notOk(cluster.passes(B, A))
  cluster.apply(policy('x/bad', {}))
  t.equal(cluster.translation.problems().size, 0)
})

t.test('a bad namespace', async t => {
  const open = policy('x/p', { ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'b' } } }] }] })
  const bad = { key: namespace('y').key, value: '{"metadata":{"labels":{"team":["b"]}}}' }
  const cluster = new Cluster(PLAIN, ...WORLD.slice(0, 1), ...WORLD.slice(2), open, bad)
  t.match(cluster.problem('namespaces/y'), { reason: /is not the value/, effect: 'Its pods get no traffic.' })
  t.notOk(cluster.passes(B, OUTSIDE))
  t.notOk(cluster.passes(OUTSIDE, B))
  cluster.apply(namespace('y', { team: 'b' }))
  t.equal(cluster.problem('namespaces/y'), undefined)
  t.ok(cluster.passes(B, A))
  t.same(cluster.apply(bad), [])
  t.match(cluster.problem('namespaces/y'), { effect: /last good/ })
  t.ok(cluster.passes(B, A))
})
