import t from 'tap'
import { trimObject } from '../../src/source/kubernetes/trim.ts'

const metadata = {
  name: 'p',
  namespace: 'n',
  uid: 'u',
  resourceVersion: '5',
  creationTimestamp: '2026-01-01T00:00:00Z',
  deletionTimestamp: '2026-01-02T00:00:00Z',
  labels: { b: '1', a: '2' },
  annotations: {
    ...{ policy: 'old', 'projectcalico.org/policy': 'new', 'kubectl.kubernetes.io/x': 'long' },
    'kubernetes.io/config.mirror': 'hash',
  },
  managedFields: [{}],
  ownerReferences: [{}],
}
const kept = {
  name: 'p',
  namespace: 'n',
  uid: 'u',
  creationTimestamp: '2026-01-01T00:00:00Z',
  deletionTimestamp: '2026-01-02T00:00:00Z',
  labels: { b: '1', a: '2' },
  annotations: { 'projectcalico.org/policy': 'new', policy: 'old', 'kubernetes.io/config.mirror': 'hash' },
}

t.test('what policy depends on is kept, and nothing else', async t => {
  const pod = {
    metadata,
    spec: {
      nodeName: 'n1',
      hostNetwork: true,
      serviceAccountName: 'x',
      containers: [
        { name: 'c', image: 'i', ports: [{ name: 'web', containerPort: 80, protocol: 'TCP', hostPort: 1 }] },
        { name: 'no-ports' },
        { name: 'empty', ports: [] },
      ],
      initContainers: [
        { name: 'side', restartPolicy: 'Always', ports: [{ containerPort: 53, protocol: 'UDP' }] },
      ],
    },
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      podIPs: [{ ip: '10.0.0.1' }],
      hostIP: '1.2.3.4',
      conditions: [{}],
    },
  }
  t.same(JSON.parse(trimObject('pods', pod)), {
    metadata: kept,
    spec: {
      nodeName: 'n1',
      hostNetwork: true,
      containers: [{ ports: [{ name: 'web', containerPort: 80, protocol: 'TCP' }] }],
      initContainers: [{ restartPolicy: 'Always', ports: [{ containerPort: 53, protocol: 'UDP' }] }],
    },
    status: { phase: 'Running', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }] },
  })
  const namespace = {
    metadata: { name: 'n', labels: { a: 'b' }, annotations: { x: 'y' } },
    status: { phase: 'Active' },
  }
  t.same(JSON.parse(trimObject('namespaces', namespace)), { metadata: { name: 'n', labels: { a: 'b' } } })
  const spec = { podSelector: {}, ingress: [{ from: [] }], unknown: 1 }
  t.same(JSON.parse(trimObject('networkpolicies', { metadata, spec, status: {} })), { metadata: kept, spec })
})

t.test('what has another form stays as it is, for the translation to refuse', async t => {
  for (const [object, trimmed] of [
    [{}, {}],
    [
      { metadata: 'x', spec: 5, status: [] },
      { metadata: 'x', spec: 5, status: [] },
    ],
    [{ metadata: { annotations: 7, labels: [] } }, { metadata: { labels: [], annotations: 7 } }],
    [{ spec: { containers: 'x' } }, { spec: { containers: 'x' } }],
    [{ spec: { containers: ['x', { ports: 'y' }] } }, { spec: { containers: ['x', { ports: 'y' }] } }],
    [{ spec: { containers: [{ ports: ['y', null] }] } }, { spec: { containers: [{ ports: ['y', null] }] } }],
  ] as const)
    t.same(JSON.parse(trimObject('pods', object as Record<string, unknown>)), trimmed)
})
