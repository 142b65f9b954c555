import t from 'tap'
import type { KeyChange } from '../../../src/source/event.ts'
import { Cluster, PLAIN } from './support/cluster.ts'
import { gone, namespace, pod, policy } from './support/objects.ts'

/** What a NetworkPolicy is in v1 words: selectors, peers, ports. What it means for packets is judged elsewhere. */

const NEXT = [{ action: 'next-tier' }]
const IN_X = "podfence/namespace == 'x'"
const ANY_NAMESPACE = 'has(podfence/namespace)'

function rulesOf(direction: 'ingress' | 'egress', spec: object, ...more: KeyChange[]) {
  const cluster = new Cluster(PLAIN, namespace('x'), namespace('y'), ...more, policy('x/p', spec))
  t.same([...cluster.translation.problems()], [])
  const found = cluster.policy(direction, 'x.p') as { inbound_rules: object[]; outbound_rules: object[] }
  return direction === 'ingress' ? found.inbound_rules : found.outbound_rules
}

t.test('two tiers stand without any policy', async t => {
  const cluster = new Cluster(PLAIN)
  t.same(Object.fromEntries(cluster.tree), {
    '/calico/v1/policy/tier/kubernetes-ingress/metadata': '{"order":1000}',
    '/calico/v1/policy/tier/kubernetes-egress/metadata': '{"order":2000}',
  })
})

t.test('types say in which tiers a policy is, and it passes on what it does not isolate', async t => {
  const rule = [{ ports: [{ port: 80 }] }]
  const allowed = [{ action: 'allow', protocol: 'tcp', dst_ports: [80] }]
  const cases: [name: string, spec: object, ingress: object[] | null, egress: object[] | null][] = [
    ['an empty spec', {}, [], null],
    ['no spec rules, types null', { policyTypes: null, ingress: null, egress: null }, [], null],
    ['types empty', { policyTypes: [], ingress: rule }, allowed, null],
    ['egress rules without types', { egress: rule }, [], allowed],
    ['an empty list of egress without types', { egress: [] }, [], null],
    ['types Ingress with egress rules', { policyTypes: ['Ingress'], egress: rule }, [], null],
    ['types Egress with ingress rules', { policyTypes: ['Egress'], ingress: rule }, null, []],
    [
      'both',
      { policyTypes: ['Egress', 'Ingress'], ingress: rule, egress: [{}] },
      allowed,
      [{ action: 'allow' }],
    ],
    ['a type twice', { policyTypes: ['Ingress', 'Ingress'], ingress: [{}] }, [{ action: 'allow' }], null],
    ['a rule that is null', { ingress: [null] }, [{ action: 'allow' }], null],
  ]
  for (const [name, spec, ingress, egress] of cases) {
    const cluster = new Cluster(PLAIN, policy('x/p', spec))
    const common = { selector: IN_X, order: 1000 }
    const inTier = ingress && { ...common, inbound_rules: ingress, outbound_rules: NEXT }
    const outTier = egress && { ...common, inbound_rules: NEXT, outbound_rules: egress }
    t.same(cluster.policy('ingress', 'x.p') ?? null, inTier, name)
    t.same(cluster.policy('egress', 'x.p') ?? null, outTier, name)
    t.equal(cluster.translation.problems().size, 0, name)
  }
})

t.test('an object without a spec isolates its namespace', async t => {
  const { key } = policy('x/p', {})
  const cluster = new Cluster(PLAIN, { key, value: '{"kind":"NetworkPolicy"}' })
  t.match(cluster.policy('ingress', 'x.p'), { selector: IN_X, inbound_rules: [] })
})

t.test('selectors', async t => {
  const cases: [selector: object | null, text: string][] = [
    [null, ''],
    [{}, ''],
    [{ matchLabels: null, matchExpressions: null }, ''],
    [{ matchLabels: { app: 'web', 'a.io/b': '' } }, " && app == 'web' && a.io/b == ''"],
    [{ matchLabels: { in: 'not', has: 'all' } }, " && in == 'not' && has == 'all'"],
    [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['x', 'y', 'x'] }] }, " && a in {'x','y'}"],
    [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['x'] }] }, " && a not in {'x'}"],
    [{ matchExpressions: [{ key: 'not', operator: 'NotIn', values: ['x'] }] }, " && not not in {'x'}"],
    [{ matchExpressions: [{ key: 'a', operator: 'Exists' }] }, ' && has(a)'],
    [{ matchExpressions: [{ key: 'a', operator: 'DoesNotExist', values: [] }] }, ' && !has(a)'],
    [
      { matchLabels: { b: '1' }, matchExpressions: [{ key: 'a', operator: 'Exists' }] },
      " && b == '1' && has(a)",
    ],
    [{ matchLabels: { 'podfence/namespace': 'y' } }, " && podfence/pod/podfence/namespace == 'y'"],
  ]
  for (const [podSelector, text] of cases) {
    const cluster = new Cluster(PLAIN, policy('x/p', { podSelector }))
    t.match(cluster.policy('ingress', 'x.p'), { selector: IN_X + text }, text)
    t.equal(cluster.model.rejections().size, 0, text)
  }
})

t.test('peers', async t => {
  const web = { matchLabels: { app: 'web' } }
  const team = { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['a'] }] }
  const cases: [name: string, peers: unknown, matches: object[]][] = [
    ['missing', undefined, [{}]],
    ['null', null, [{}]],
    ['empty', [], [{}]],
    ['pods of the own namespace', [{ podSelector: web }], [{ selector: `${IN_X} && app == 'web'` }]],
    ['all pods of the own namespace', [{ podSelector: {} }], [{ selector: IN_X }]],
    [
      'a null beside a selector',
      [{ podSelector: {}, namespaceSelector: null, ipBlock: null }],
      [{ selector: IN_X }],
    ],
    ['all namespaces', [{ namespaceSelector: {} }], [{ selector: ANY_NAMESPACE }]],
    [
      'namespaces by label',
      [{ namespaceSelector: team }],
      [{ selector: `${ANY_NAMESPACE} && podfence/ns/team not in {'a'}` }],
    ],
    [
      'both in one peer',
      [{ namespaceSelector: team, podSelector: web }],
      [{ selector: `${ANY_NAMESPACE} && podfence/ns/team not in {'a'} && app == 'web'` }],
    ],
    [
      'two peers, one twice',
      [{ podSelector: web }, { namespaceSelector: {} }, { podSelector: web }],
      [{ selector: `${IN_X} && app == 'web'` }, { selector: ANY_NAMESPACE }],
    ],
    ['a block', [{ ipBlock: { cidr: '10.0.0.0/8' } }], [{ net: '10.0.0.0/8' }]],
    ['host bits', [{ ipBlock: { cidr: '10.1.2.3/8', except: null } }], [{ net: '10.0.0.0/8' }]],
    ['leading zeros', [{ ipBlock: { cidr: '010.00.0.0/08' } }], [{ net: '10.0.0.0/8' }]],
    ['IPv6 with a leading zero', [{ ipBlock: { cidr: 'FD00:0::/08' } }], [{ net: 'fd00::/8' }]],
    [
      'an except',
      [{ ipBlock: { cidr: '10.0.0.0/30', except: ['10.0.0.1/32'] } }],
      [{ net: '10.0.0.0/32' }, { net: '10.0.0.2/31' }],
    ],
    [
      'excepts that overlap',
      [{ ipBlock: { cidr: '10.0.0.0/29', except: ['10.0.0.0/30', '10.0.0.2/31', '10.0.0.7/32'] } }],
      [{ net: '10.0.0.4/31' }, { net: '10.0.0.6/32' }],
    ],
    ['excepts of all', [{ ipBlock: { cidr: '10.0.0.0/31', except: ['10.0.0.0/32', '10.0.0.1/32'] } }], []],
    [
      'IPv6 with an except',
      [{ ipBlock: { cidr: 'fd00::/62', except: ['fd00:0:0:1::/64'] } }],
      [{ net: 'fd00::/64' }, { net: 'fd00:0:0:2::/63' }],
    ],
  ]
  for (const [name, peers, matches] of cases) {
    const sided = (side: string) =>
      matches.map(match => ({
        action: 'allow',
        ...Object.fromEntries(Object.entries(match).map(([field, value]) => [`${side}_${field}`, value])),
      }))
    t.same(rulesOf('ingress', { ingress: [{ from: peers }] }), sided('src'), name)
    t.same(rulesOf('egress', { egress: [{ to: peers }] }), sided('dst'), name)
  }
})

t.test('ports', async t => {
  const cases: [name: string, ports: unknown, matches: object[]][] = [
    ['missing', undefined, [{}]],
    ['null', null, [{}]],
    ['empty', [], [{}]],
    ['an empty port is any TCP port', [{}], [{ protocol: 'tcp' }]],
    ['so is a null', [null], [{ protocol: 'tcp' }]],
    ['a protocol alone', [{ protocol: 'UDP' }], [{ protocol: 'udp' }]],
    ['TCP is the default', [{ port: 80 }], [{ protocol: 'tcp', dst_ports: [80] }]],
    ['a range', [{ port: 80, endPort: 90 }], [{ protocol: 'tcp', dst_ports: ['80:90'] }]],
    ['a range of one', [{ port: 80, endPort: 80 }], [{ protocol: 'tcp', dst_ports: [80] }]],
    [
      'those of a protocol go together, what touches is one',
      [
        { port: 443 },
        { port: 53, protocol: 'UDP' },
        { port: 80, endPort: 90 },
        { port: 91 },
        { port: 85, endPort: 86 },
        { port: 1, protocol: 'SCTP' },
        { port: 65535 },
      ],
      [
        { protocol: 'tcp', dst_ports: ['80:91', 443, 65535] },
        { protocol: 'udp', dst_ports: [53] },
        { protocol: 'sctp', dst_ports: [1] },
      ],
    ],
    [
      'any port of a protocol takes its numbers and names in',
      [{ port: 80 }, { port: 'http' }, { protocol: 'TCP' }, { port: 53, protocol: 'UDP' }],
      [{ protocol: 'tcp' }, { protocol: 'udp', dst_ports: [53] }],
    ],
  ]
  for (const [name, ports, matches] of cases) {
    const rules = matches.map(match => ({ action: 'allow', ...match }))
    t.same(rulesOf('ingress', { ingress: [{ ports }] }), rules, name)
    t.same(rulesOf('egress', { egress: [{ ports }] }), rules, name)
  }
})

t.test('each peer with the ports of each protocol', async t => {
  const ports = [{ port: 80 }, { port: 53, protocol: 'UDP' }]
  const from = [{ podSelector: {} }, { ipBlock: { cidr: '10.0.0.0/30', except: ['10.0.0.0/31'] } }]
  t.same(rulesOf('ingress', { ingress: [{ from, ports }, { ports: [{ port: 80 }] }, { from, ports }] }), [
    { action: 'allow', protocol: 'tcp', src_selector: IN_X, dst_ports: [80] },
    { action: 'allow', protocol: 'udp', src_selector: IN_X, dst_ports: [53] },
    { action: 'allow', protocol: 'tcp', src_net: '10.0.0.2/31', dst_ports: [80] },
    { action: 'allow', protocol: 'udp', src_net: '10.0.0.2/31', dst_ports: [53] },
    { action: 'allow', protocol: 'tcp', dst_ports: [80] },
  ])
})

t.test('a named port: one rule for each number that a destination may have', async t => {
  const pods = [
    pod('x/a', { ports: { 'tcp.http': 80, 'udp.http': 81 } }),
    pod('x/b', { ports: { 'tcp.http': 8080 } }),
    pod('x/c', { ports: { 'tcp.http': 80 } }),
    pod('y/d', { ports: { 'tcp.http': 9090, 'sctp.http': 82 } }),
    pod('y/host', { ports: { 'tcp.http': 7070 }, spec: { hostNetwork: true } }),
  ]
  const ports = [{ port: 'http' }]
  const http = (number: number) => `podfence/port.tcp.http == '${number}'`
  const rule = (number: number, more: object) => ({
    action: 'allow',
    protocol: 'tcp',
    ...more,
    dst_ports: [number],
  })
  t.same(rulesOf('ingress', { ingress: [{ ports }] }, ...pods), [
    rule(80, { dst_selector: `${IN_X} && ${http(80)}` }),
    rule(8080, { dst_selector: `${IN_X} && ${http(8080)}` }),
  ])
  t.same(
    rulesOf('ingress', { ingress: [{ ports, from: [{ namespaceSelector: {} }] }] }, ...pods),
    [80, 8080].map(number =>
      rule(number, { src_selector: ANY_NAMESPACE, dst_selector: `${IN_X} && ${http(number)}` }),
    ),
  )
  t.same(
    rulesOf('egress', { egress: [{ ports }] }, ...pods),
    [80, 8080, 9090].map(number => rule(number, { dst_selector: http(number) })),
    'egress without peers: any pod, but pods only',
  )
  t.same(
    rulesOf('egress', { egress: [{ ports, to: [{ podSelector: {} }] }] }, ...pods),
    [80, 8080].map(number => rule(number, { dst_selector: `${IN_X} && ${http(number)}` })),
    'egress to the own namespace: its numbers only',
  )
  t.same(
    rulesOf('egress', { egress: [{ ports, to: [{ namespaceSelector: {} }] }] }, ...pods),
    [80, 8080, 9090].map(number => rule(number, { dst_selector: `${ANY_NAMESPACE} && ${http(number)}` })),
  )
  t.same(
    rulesOf('egress', { egress: [{ ports, to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }] }, ...pods),
    [80, 8080, 9090].map(number => rule(number, { dst_net: '10.0.0.0/8', dst_selector: http(number) })),
    'egress to a block: the pods in it',
  )
  t.same(rulesOf('ingress', { ingress: [{ ports: [{ port: 'none' }] }] }, ...pods), [], 'nobody has it')
  t.same(
    rulesOf('ingress', { ingress: [{ ports: [{ port: 'http', protocol: 'UDP' }, { port: 22 }] }] }, ...pods),
    [
      { action: 'allow', protocol: 'tcp', dst_ports: [22] },
      {
        action: 'allow',
        protocol: 'udp',
        dst_selector: `${IN_X} && podfence/port.udp.http == '81'`,
        dst_ports: [81],
      },
    ],
  )
})

t.test('numbers of a named port come and go, and only policies that name it change', async t => {
  const [a, b] = [pod('x/a', { ports: { 'tcp.http': 80 } }), pod('x/b', { ports: { 'tcp.http': 8080 } })]
  const cluster = new Cluster(
    PLAIN,
    namespace('x'),
    namespace('y'),
    a,
    policy('x/named', { ingress: [{ ports: [{ port: 'http' }] }] }),
    policy('x/numbered', { ingress: [{ ports: [{ port: 80 }] }] }),
    policy('y/in', { ingress: [{ ports: [{ port: 'http' }] }] }),
    policy('y/out', { egress: [{ ports: [{ port: 'http' }] }] }),
    policy('y/near', { egress: [{ to: [{ podSelector: {} }], ports: [{ port: 'http' }] }] }),
  )
  const touched = (...changes: KeyChange[]) =>
    cluster
      .apply(...changes)
      .map(({ key }) => key)
      .filter(key => key.includes('/policy/tier/'))
      .map(key => key.replace(/.*\//, ''))
      .sort()
  t.same(touched(b), ['x.named', 'y.out'], 'a new number')
  t.same(touched(pod('x/c', { ports: { 'tcp.http': 80 } })), [], 'a number that is there')
  t.same(touched(gone(a)), [], 'one of two goes')
  t.same(touched(pod('x/c', { ports: { 'tcp.http': 80 }, labels: { a: 'b' } })), [], 'another label')
  t.same(touched(pod('x/c', { ports: { 'tcp.http': 81 } })), ['x.named', 'y.out'], 'another number')
  t.same(touched(pod('x/c', { ports: { 'tcp.http': 81 }, phase: 'Failed' })), ['x.named', 'y.out'], 'it ends')
  const { inbound_rules } = cluster.policy('ingress', 'x.named') as { inbound_rules: object[] }
  t.match(inbound_rules, [{ dst_ports: [8080] }])
  t.equal(inbound_rules.length, 1)
  t.same(touched(gone(b)), ['x.named', 'y.out'])
  t.match(cluster.policy('ingress', 'x.named'), { inbound_rules: [] })
  t.same(touched(gone(policy('y/out', {}))), ['y.out', 'y.out'])
  t.same(touched(b), ['x.named'], 'a policy that is gone is not written')
})

t.test('names of ports: of sidecars, the first of doubles, none without a name', async t => {
  const port = (name: string | undefined, containerPort: number, protocol?: string) => ({
    ...(name === undefined ? {} : { name }),
    containerPort,
    ...(protocol === undefined ? {} : { protocol }),
  })
  const cluster = new Cluster(
    PLAIN,
    pod('x/a', {
      spec: {
        containers: [
          { ports: [port('http', 80), port(undefined, 81), port('http', 82, 'UDP')] },
          { ports: null },
        ],
        initContainers: [
          { ports: [port('setup', 83)] },
          { restartPolicy: 'Always', ports: [port('proxy', 84), port('http', 85)] },
        ],
      },
    }),
  )
  t.match(cluster.endpoint('x/a'), {
    labels: {
      'podfence/port.tcp.http': '80',
      'podfence/port.udp.http': '82',
      'podfence/port.tcp.proxy': '84',
      'podfence/port.tcp.setup': undefined,
    },
  })
})

t.test('too many excepts close the policy', async t => {
  const except = Array.from({ length: 64 }, (_, at) => `fd00:${(at * 1021).toString(16)}::1/128`)
  const cluster = new Cluster(
    PLAIN,
    policy('x/p', { ingress: [{ from: [{ ipBlock: { cidr: '::/0', except } }] }] }),
  )
  t.match(cluster.policy('ingress', 'x.p'), { inbound_rules: [] })
  t.match(cluster.problem('networkpolicies/x/p'), { reason: /more than 4096 networks/ })
})
