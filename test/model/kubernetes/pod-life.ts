import t from 'tap'
import { KubernetesTranslation } from '../../../src/model/kubernetes/translation.ts'
import { refused } from '../../../src/source/event.ts'
import { ANNOTATED, Cluster, PLAIN } from './support/cluster.ts'
import { gone, namespace, pod, policy } from './support/objects.ts'

const [A, B] = ['10.0.0.1', '10.0.0.2']
const X = namespace('x')

t.test('a pod as an endpoint', async t => {
  const cluster = new Cluster(PLAIN, X)
  const changes = cluster.apply(
    pod('x/web.0', {
      ips: ['FD00:0::1', A, 'fd00::1'],
      labels: { b: '1', a: '' },
      ports: { 'tcp.http': 80 },
      metadata: { name: 'liar', namespace: 'other' },
    }),
  )
  t.same(
    changes.map(({ key }) => key),
    ['/calico/v1/host/n1/workload/k8s/x.web.0/endpoint/eth0'],
  )
  t.same(cluster.endpoint('x/web.0'), {
    state: 'active',
    name: '',
    ipv4_nets: ['10.0.0.1/32'],
    ipv6_nets: ['fd00::1/128'],
    profile_ids: ['x'],
    labels: { a: '', b: '1', 'podfence/namespace': 'x', 'podfence/port.tcp.http': '80' },
  })
  t.ok(cluster.owns('fd00::1'))
  t.equal(cluster.translation.problems().size, 0)
})

t.test('addresses: podIPs in any order, else podIP, else none yet', async t => {
  const cases: [status: object, four: string[], six: string[]][] = [
    [{}, [], []],
    [{ podIPs: null, podIP: null }, [], []],
    [{ podIPs: [], podIP: '' }, [], []],
    [{ podIPs: [{}] }, [], []],
    [{ podIPs: [{ ip: A }] }, [A], []],
    [{ podIPs: [], podIP: A }, [A], []],
    [{ podIP: 'fd00::1' }, [], ['fd00::1']],
    [{ podIPs: [{ ip: 'fd00::1' }, { ip: A }], podIP: B }, [A], ['fd00::1']],
  ]
  for (const [status, four, six] of cases) {
    const cluster = new Cluster(PLAIN, X, pod('x/a', { status: { podIPs: undefined, ...status } }))
    t.match(cluster.endpoint('x/a'), {
      ipv4_nets: four.map(address => `${address}/32`),
      ipv6_nets: six.map(address => `${address}/128`),
    })
    t.equal(cluster.model.rejections().size, 0, JSON.stringify(status))
  }
})

t.test('what has no endpoint', async t => {
  const cluster = new Cluster(PLAIN, X)
  const before = new Map(cluster.tree)
  const cases: [name: string, change: Parameters<typeof pod>[1]][] = [
    ['not scheduled', { ips: [A], node: null }],
    ['scheduled to nowhere', { ips: [A], node: '' }],
    ['hostNetwork', { ips: [A], spec: { hostNetwork: true } }],
    ['Succeeded', { ips: [A], phase: 'Succeeded' }],
    ['Failed', { ips: [A], phase: 'Failed' }],
    [
      'ended and terminating',
      { ips: [A], phase: 'Failed', metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } },
    ],
    ['ended and otherwise bad', { ips: ['none'], phase: 'Failed' }],
  ]
  for (const [name, words] of cases) {
    t.same(cluster.apply(pod('x/a', words)), [], `${name}: nothing comes`)
    t.same(cluster.translation.problems().size, 0)
    cluster.apply(pod('x/a', { ips: [A], labels: { a: 'b' } }))
    t.ok(cluster.owns(A))
    cluster.apply(pod('x/a', words))
    t.notOk(cluster.owns(A), `${name}: it goes`)
    t.same(cluster.tree, before, `${name}: nothing is left`)
  }
})

t.test('a life: scheduled, an address, terminating, ended, deleted', async t => {
  const cluster = new Cluster(PLAIN, X, policy('x/p', { ingress: [{ from: [{ podSelector: {} }] }] }))
  cluster.apply(pod('x/peer', { ips: [B] }), pod('x/a', { node: null, phase: 'Pending' }))
  t.equal(cluster.endpoint('x/a'), undefined)
  cluster.apply(pod('x/a', { phase: 'Pending' }))
  t.match(cluster.endpoint('x/a'), { ipv4_nets: [], profile_ids: ['x'] }, 'closed before it has an address')
  cluster.apply(pod('x/a', { ips: [A], phase: 'Pending' }))
  t.ok(cluster.passes(B, A), 'init containers are under policy')
  t.notOk(cluster.passes('192.0.2.1', A))
  const terminating = { ips: [A], metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }
  t.same(cluster.apply(pod('x/a', { ips: [A] }), pod('x/a', terminating)), [], 'it runs on')
  t.ok(cluster.passes(A, B), 'and is a peer')
  cluster.apply(pod('x/a', { ...terminating, phase: 'Succeeded' }))
  t.notOk(cluster.passes(A, B))
  t.same(cluster.apply(gone(pod('x/a', {}))), [])
})

t.test('an address that changes hands, in whichever order it is told', async t => {
  const old = pod('x/old', { ips: [A], labels: { app: 'db' } })
  const young = pod('x/young', { ips: [A], labels: { app: 'web' } })
  const ended = pod('x/old', { ips: [A], labels: { app: 'db' }, phase: 'Succeeded' })
  const world = [X, policy('x/p', { podSelector: { matchLabels: { app: 'db' } } })]
  const expected = new Cluster(PLAIN, ...world, young).tree
  for (const last of [ended, gone(old)])
    for (const steps of [[[last], [young]], [[young], [last]], [[last, young]], [[young, last]]]) {
      const cluster = new Cluster(PLAIN, ...world, old)
      t.notOk(cluster.passes('192.0.2.1', A))
      for (const step of steps) cluster.apply(...step)
      t.same(cluster.tree, expected)
      t.ok(cluster.passes('192.0.2.1', A), 'the young one is judged')
    }
  const cluster = new Cluster(PLAIN, ...world, old)
  t.match(
    cluster.apply(young, ended).map(({ key, value }) => [key.split('/')[7], value === null]),
    [
      ['x.old', true],
      ['x.young', false],
    ],
    'it is let go of before it is taken',
  )
})

t.test('a pod of the same name again: elsewhere, in either order', async t => {
  const cluster = new Cluster(PLAIN, X, pod('x/a', { ips: [A] }))
  const moved = pod('x/a', { ips: [B], node: 'n2' })
  cluster.apply(moved)
  t.equal(cluster.endpoint('x/a', 'n1'), undefined)
  t.match(cluster.endpoint('x/a', 'n2'), { ipv4_nets: ['10.0.0.2/32'] })
  t.same(cluster.apply(gone(moved), moved), [], 'gone and there again is no change')
  cluster.apply(gone(moved))
  t.equal(cluster.endpoint('x/a', 'n2'), undefined)
  t.same(cluster.apply(gone(moved)), [], 'gone twice')
})

t.test('a pod sets none of the reserved labels', async t => {
  const labels = {
    'podfence/namespace': 'y',
    'podfence/port.tcp.http': '80',
    'podfence/annotation': 'valid',
    'podfence/ns': 'z',
  }
  const cluster = new Cluster(
    { ...ANNOTATED, annotationCombine: 'add', defaultPolicy: 'allow' },
    X,
    namespace('y'),
    pod('x/a', { ips: [A], labels }),
    pod('y/b', { ips: [B] }),
    policy('y/p', { ingress: [{ from: [{ podSelector: {} }] }] }),
  )
  t.match(cluster.endpoint('x/a'), {
    labels: {
      'podfence/namespace': 'x',
      'podfence/pod/podfence/namespace': 'y',
      'podfence/annotation': undefined,
      'podfence/port.tcp.http': undefined,
      'podfence/pod/podfence/annotation': 'valid',
    },
  })
  t.match(cluster.problem('pods/x/a'), { reason: /podfence\/namespace/ })
  t.notOk(cluster.passes(A, B), 'it is no pod of the other namespace')
  t.ok(cluster.passes('192.0.2.1', A))
  const spec = { podSelector: { matchLabels: { 'podfence/ns': 'z' } } }
  cluster.apply(policy('x/deny', spec))
  t.notOk(cluster.passes('192.0.2.1', A), 'a policy still finds its label')
  t.match(cluster.policy('ingress', 'x.deny'), { selector: /podfence\/pod\/podfence\/ns == 'z'/ })
})

t.test('the namespace of a pod', async t => {
  const to = policy('x/p', {
    ingress: [
      {
        from: [
          { namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'NotIn', values: ['b'] }] } },
        ],
      },
    ],
  })
  const cluster = new Cluster(PLAIN, X, to, pod('x/a', { ips: [A] }), pod('y/b', { ips: [B] }))
  t.match(cluster.problem('namespaces/y'), {
    reason: /no Namespace object/,
    effect: 'its pods get no traffic',
  })
  t.notOk(cluster.passes(B, A), 'an unknown namespace is not one without the label')
  t.notOk(cluster.passes(B, '192.0.2.1'), 'its pods are closed')
  cluster.apply(namespace('y', { team: 'c' }))
  t.equal(cluster.problem('namespaces/y'), undefined)
  t.ok(cluster.passes(B, A))
  const relabelled = cluster.apply(namespace('y', { team: 'b', 'kubernetes.io/metadata.name': 'x' }))
  t.same(
    relabelled.map(({ key }) => key),
    ['/calico/v1/policy/profile/y/labels'],
    'a relabel touches the profile only',
  )
  t.notOk(cluster.passes(B, A))
  t.match(cluster.at('policy/profile/y/labels'), { 'podfence/ns/kubernetes.io/metadata.name': 'y' })
  cluster.apply(gone(namespace('y')))
  t.match(cluster.problem('namespaces/y'), { reason: /no Namespace object/ })
  t.equal(cluster.tree.get('/calico/v1/policy/profile/y/labels'), refused('the namespace y is not known'))
  cluster.apply(gone(pod('y/b', {})))
  t.equal(cluster.problem('namespaces/y'), undefined)
  t.equal(cluster.tree.get('/calico/v1/policy/profile/y/rules'), undefined)
})

t.test('a namespace without pods has its profile ready', async t => {
  const cluster = new Cluster(PLAIN, X)
  t.same(cluster.at('policy/profile/x/rules'), {
    inbound_rules: [{ action: 'allow' }],
    outbound_rules: [{ action: 'allow' }],
  })
  cluster.apply(gone(X))
  t.same(cluster.tree, new Cluster(PLAIN).tree)
})

t.test('a pod that cannot be read', async t => {
  const bad = [
    pod('x/a', { ips: ['10.0.0.300'] }),
    pod('x/a', { ips: ['224.0.0.1'] }),
    pod('x/a', { status: { podIPs: [{ ip: 1 }] } }),
    pod('x/a', { status: { podIPs: 'none' } }),
    pod('x/a', { ips: [A], labels: { 'a b': 'c' } }),
    pod('x/a', { ips: [A], labels: { a: 'c d' } }),
    pod('x/a', { ips: [A], ports: { 'tcp.HTTP': 80 } }),
    pod('x/a', { ips: [A], ports: { 'tcp.http': 0 } }),
    pod('x/a', { ips: [A], ports: { 'icmp.http': 80 } }),
    pod('x/a', { ips: [A], spec: { containers: [{ ports: [{ name: 80, containerPort: 80 }] }] } }),
    pod('x/a', { ips: [A], spec: { containers: {} } }),
  ]
  for (const object of bad) {
    const cluster = new Cluster(PLAIN, X, object)
    const value = cluster.tree.get('/calico/v1/host/n1/workload/k8s/x.a/endpoint/eth0')
    t.match(value, /^\0/, object.value!)
    t.match(cluster.problem('pods/x/a'), { effect: 'the pod gets no traffic' })
    t.equal(cluster.model.rejections().size, 1)
    cluster.apply(pod('x/a', { ips: [A] }))
    t.equal(cluster.translation.problems().size, 0)
    t.ok(cluster.owns(A))
    t.same(cluster.apply(object), [])
    t.match(cluster.problem('pods/x/a'), { effect: /last good/ })
    t.ok(cluster.owns(A), 'the last good version stands')
    cluster.apply(gone(object))
    t.notOk(cluster.owns(A))
    t.equal(cluster.translation.problems().size, 0)
  }
})

t.test('a pod of which not even the node can be read is not known', async t => {
  for (const value of ['{', '[]', 'null', refused('no UTF-8'), '{"spec":{"nodeName":7}}', '{"spec":[]}']) {
    const cluster = new Cluster(PLAIN, X, { key: pod('x/a', {}).key, value })
    t.match(cluster.problem('pods/x/a'), { effect: 'the pod is not known and gets no traffic' }, value)
    t.equal(cluster.endpoint('x/a'), undefined)
  }
})

t.test(
  'what the CNI plugin says of another pod of the same name closes that one until it is known',
  async t => {
    const cluster = new Cluster({ ...PLAIN, node: 'n1' }, X)
    const attachment = { interface: 'cali1', mac: null, addresses: [B], sandbox: 's', uid: 'u2' }
    const open = { labels: { a: 'b' }, profile_ids: ['x'] }
    cluster.apply(pod('x/a', { labels: { a: 'b' }, uid: 'u1' }))
    t.match(cluster.endpoint('x/a'), open)
    cluster.take(cluster.translation.attach('x/a', attachment))
    t.match(cluster.endpoint('x/a'), {
      name: 'cali1',
      ipv4_nets: [`${B}/32`],
      profile_ids: ['podfence.pending'],
    })
    t.match(cluster.endpoint('x/a'), { labels: undefined })
    cluster.apply(pod('x/a', { labels: { a: 'b' }, uid: 'u2' }))
    t.match(cluster.endpoint('x/a'), { name: 'cali1', ...open })
    cluster.apply(pod('x/a', { labels: { a: 'b' }, uid: 'of the mirror', mirrors: 'u2' }))
    t.match(
      cluster.endpoint('x/a'),
      { name: 'cali1', ...open },
      'a static pod has the uid that its mirror names',
    )
    cluster.apply(pod('x/a', { ips: [A], labels: { a: 'b' }, uid: 'u3' }))
    cluster.take(cluster.translation.attach('x/a', { ...attachment, interface: '', addresses: [] }))
    t.match(
      cluster.endpoint('x/a'),
      { name: '', ipv4_nets: [`${A}/32`], ...open },
      'what is lost says nothing of it',
    )
  },
)

t.test('what the CNI plugin says of a pod counts more than its status', async t => {
  const attachment = {
    interface: 'cali1',
    mac: '0A:00:00:00:00:01',
    addresses: [B, 'fd00::2'],
    sandbox: 's',
    uid: null,
  }
  const cluster = new Cluster({ ...PLAIN, node: 'n1' }, X)
  t.same(cluster.translation.attach('x/a', attachment), [], 'before the pod is known')
  cluster.apply(pod('x/a', { labels: { a: 'b' } }))
  const attached = {
    name: 'cali1',
    mac: '0A:00:00:00:00:01',
    ipv4_nets: [`${B}/32`],
    ipv6_nets: ['fd00::2/128'],
    profile_ids: ['x'],
    labels: { a: 'b' },
  }
  t.match(cluster.endpoint('x/a'), attached)
  t.same(cluster.apply(pod('x/a', { ips: [A], labels: { a: 'b' } })), [], 'a status of before does not count')
  cluster.take(cluster.translation.attach('x/a', { ...attachment, mac: null, addresses: [A] }))
  t.match(cluster.endpoint('x/a'), { name: 'cali1', mac: undefined, ipv4_nets: [`${A}/32`], ipv6_nets: [] })
  t.equal(cluster.model.rejections().size, 0)
  cluster.apply(pod('x/a', { ips: [B], node: 'n2' }))
  t.match(cluster.endpoint('x/a', 'n2'), { name: '', ipv4_nets: [`${B}/32`] }, 'the same name elsewhere')
  cluster.apply(pod('x/a', { ips: [B] }))
  t.match(cluster.endpoint('x/a'), { name: 'cali1' })
  cluster.take(cluster.translation.attach('x/a', null))
  t.match(cluster.endpoint('x/a'), { name: '', ipv4_nets: [`${B}/32`] })
  t.same(cluster.translation.attach('x/a', null), [])
  cluster.take(cluster.translation.attach('x/a', attachment))
  cluster.apply(pod('x/a', { ips: [B], phase: 'Failed' }))
  t.equal(cluster.endpoint('x/a'), undefined, 'an ended pod has no network')
  const anywhere = new KubernetesTranslation(PLAIN)
  anywhere.attach('x/a', attachment)
  const tree = anywhere.snapshot(
    new Map([X, pod('x/a', { node: 'n7' })].map(({ key, value }) => [key, value!])),
  )
  t.match(tree.get('/calico/v1/host/n7/workload/k8s/x.a/endpoint/eth0'), /"name":"cali1"/)
})

t.test('what restricts comes before what is restricted, and what goes goes first', async t => {
  const cluster = new Cluster(PLAIN)
  const kinds = (changes: ReturnType<Cluster['apply']>) =>
    changes.map(({ key, value }) => `${value === null ? '-' : '+'}${key.split('/').slice(3, 5).join('/')}`)
  const objects = [pod('x/a', { ips: [A] }), X, policy('x/p', { policyTypes: ['Egress'] })]
  t.same(kinds(cluster.apply(...objects)), ['+policy/tier', '+policy/profile', '+policy/profile', '+host/n1'])
  t.same(kinds(cluster.apply(...objects.map(gone).reverse())), [
    '-host/n1',
    '-policy/tier',
    '-policy/profile',
    '-policy/profile',
  ])
})
