import * as fc from 'fast-check'
import type { KeyChange } from '../../../../src/source/event.ts'
import { gone, namespace, pod, policy } from './objects.ts'

/** Random Kubernetes objects that the API server would take, of few names, so that they meet often. */

export const NAMESPACES = ['x', 'y', 'kube-system']
const PODS = ['a', 'b', 'c']
export const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.1.1', 'fd00::1', 'fd00::2']
export const OUTSIDE = ['192.0.2.1', '2001:db8::1']
export const PORTS = [80, 81, 8080]

const SETTLED = ['x/a', 'x/b', 'x/c', 'y/a', 'y/b', 'kube-system/a'].map((id, at) => ({
  id,
  ips: [`10.0.0.${at + 1}`, `fd00::${at + 1}`],
  node: `n${1 + (at % 2)}`,
}))
/** The addresses of the pods of `settledWorld`. */
export const SETTLED_ADDRESSES = SETTLED.flatMap(({ ips }) => ips)

const label = fc.dictionary(fc.constantFrom('app', 'role', 'podfence/x'), fc.constantFrom('', 'a', 'b'), { maxKeys: 2 })

const expression = fc.oneof(
  fc.record({
    key: fc.constantFrom('app', 'role', 'podfence/x'),
    operator: fc.constantFrom('In', 'NotIn'),
    values: fc.array(fc.constantFrom('', 'a', 'b'), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ key: fc.constantFrom('app', 'role'), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
)

export const selector = fc.record(
  { matchLabels: label, matchExpressions: fc.array(expression, { maxLength: 2 }) },
  { requiredKeys: [] },
)

const block = fc.constantFrom(
  { cidr: '10.0.0.0/8' },
  { cidr: '10.0.0.0/30', except: ['10.0.0.2/32'] },
  { cidr: '0.0.0.0/0', except: ['10.0.0.0/31', '10.0.1.0/24'] },
  { cidr: '192.0.2.0/24' },
  { cidr: 'fd00::/64', except: ['fd00::2/127'] },
  { cidr: '::/0' },
)

const peer = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector: selector }),
  fc.record({ podSelector: selector, namespaceSelector: selector }),
  fc.record({ ipBlock: block }),
)

const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP')

const port = fc.oneof(
  fc.record({ protocol, port: fc.constantFrom<string | number>(...PORTS, 'http', 'web') }, { requiredKeys: [] }),
  fc.record({ protocol, port: fc.constant(80), endPort: fc.constantFrom(80, 100) }, { requiredKeys: ['port', 'endPort'] }),
)

const rules = (side: 'from' | 'to') =>
  fc.array(
    fc.record(
      { [side]: fc.array(peer, { maxLength: 2 }), ports: fc.array(port, { maxLength: 3 }) },
      { requiredKeys: [] },
    ),
    { maxLength: 2 },
  )

export const policySpec = fc.record(
  {
    podSelector: selector,
    policyTypes: fc.subarray(['Ingress', 'Egress']),
    ingress: rules('from'),
    egress: rules('to'),
  },
  { requiredKeys: ['podSelector'] },
)

const annotation = fc.constantFrom(
  'allow',
  'allow tcp to ports 80',
  'allow from label app=a',
  'allow from label podfence/x=a cidr 10.0.0.0/31; allow udp',
  'allow tcp from cidr fd00::/64',
  'deny',
  '',
)

const podWords = fc.record({
  ips: fc.subarray(ADDRESSES, { maxLength: 2 }),
  node: fc.constantFrom('n1', 'n2', 'n2', null),
  labels: label,
  annotations: fc.oneof(
    { weight: 2, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: fc.record({ 'projectcalico.org/policy': annotation }) },
    { weight: 1, arbitrary: fc.record({ policy: annotation }) },
  ),
  ports: fc.dictionary(
    fc.constantFrom('tcp.http', 'udp.http', 'sctp.http', 'tcp.web'),
    fc.constantFrom(...PORTS),
    { maxKeys: 2 },
  ),
  phase: fc.constantFrom('Running', 'Running', 'Running', 'Pending', 'Succeeded'),
  spec: fc.constantFrom({}, {}, {}, { hostNetwork: true }),
})

const podId = fc.tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom(...PODS)).map(names => names.join('/'))
/** Six pods with addresses of their own on two nodes, and policies that mostly pick some of them. */
export const settledWorld: fc.Arbitrary<KeyChange[]> = fc
  .tuple(
    fc.tuple(...NAMESPACES.map(name => label.map(labels => namespace(name, labels)))),
    fc.tuple(
      ...SETTLED.map(({ id, ips, node }) =>
        podWords.map(words => pod(id, { ...words, ips, node, phase: 'Running', spec: {} })),
      ),
    ),
    fc.array(
      fc
        .tuple(fc.constantFrom(...NAMESPACES), fc.nat(99), policySpec, fc.boolean())
        .map(([space, name, spec, all]) =>
          policy(`${space}/p${name}`, all ? { ...spec, podSelector: {} } : spec),
        ),
      { minLength: 1, maxLength: 6 },
    ),
  )
  .map(parts => parts.flat())

const policyId = fc
  .tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom('p', 'q', 'r.s'))
  .map(names => names.join('/'))

/** One object there, or (rarely) gone. */
export const objectChange: fc.Arbitrary<KeyChange> = fc
  .tuple(
    fc.oneof(
      { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...NAMESPACES), label).map(words => namespace(...words)) },
      { weight: 4, arbitrary: fc.tuple(podId, podWords).map(words => pod(...words)) },
      { weight: 3, arbitrary: fc.tuple(policyId, policySpec).map(words => policy(...words)) },
    ),
    fc.nat(4),
  )
  .map(([change, dice]) => (dice === 0 ? gone(change) : change))

export const options = fc.record({
  annotationPolicy: fc.boolean(),
  defaultPolicy: fc.constantFrom('isolate' as const, 'allow' as const),
  annotationCombine: fc.constantFrom('narrow' as const, 'add' as const),
  profiles: fc.constantFrom('shared' as const, 'per-pod' as const),
})

/** The objects that changes leave, by key. */
export function objectsAfter(changes: readonly KeyChange[]): Map<string, string> {
  const objects = new Map<string, string>()
  for (const { key, value } of changes)
    if (value === null) objects.delete(key)
    else objects.set(key, value)
  return objects
}
