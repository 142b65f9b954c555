import t, { type Test } from 'tap'
import { type Cluster, clusterMissing, startCluster } from './support/cluster.ts'
import type { KubeClient } from './support/kube-client.ts'
import type { KubeObject } from './support/object-path.ts'
import { namespaceObject } from './support/objects.ts'

const MANIFESTS = new URL('../../src/deploy/', import.meta.url)
/** A namespace of workloads, where podfence only reads. */
const ELSEWHERE = 'shop'

const READS = [
  'get namespaces',
  'get networkpolicies.networking.k8s.io',
  'get pods',
  'list namespaces',
  'list networkpolicies.networking.k8s.io',
  'list pods',
  'watch namespaces',
  'watch networkpolicies.networking.k8s.io',
  'watch pods',
]
const LEASE = [
  'create leases.coordination.k8s.io',
  'get leases.coordination.k8s.io/podfence-controller',
  'update leases.coordination.k8s.io/podfence-controller',
]

t.test('each part has the rights of its manifest and no other', { skip: clusterMissing }, async t => {
  const cluster = await startCluster(t)
  await cluster.admin.create(namespaceObject(ELSEWHERE))
  await cluster.admin.create({
    ...{ apiVersion: 'v1', kind: 'ServiceAccount' },
    metadata: { name: 'plain', namespace: ELSEWHERE },
  })
  const plain = (await cluster.serviceAccount(`${ELSEWHERE}/plain`)).client

  await t.test('the agent', async t => {
    const { client } = await accountOf(cluster, 'agent')
    await holdsExactly(t, client, plain, {
      [ELSEWHERE]: ['create events', ...READS],
      podfence: ['create events', ...READS],
    })
  })

  await t.test('the controller', async t => {
    const { client } = await accountOf(cluster, 'controller')
    const everywhere = ['create events', ...READS]
    await holdsExactly(t, client, plain, { [ELSEWHERE]: everywhere, podfence: [...everywhere, ...LEASE] })
    await client.create(leaseObject('podfence-controller'))
    const lease = await client.get('Lease', 'podfence/podfence-controller')
    await client.ask(
      'PUT',
      '/apis/coordination.k8s.io/v1/namespaces/podfence/leases/podfence-controller',
      lease,
    )
    await t.rejects(client.get('Lease', 'podfence/another'), { code: 403 })
  })

  await t.test('the CNI plugin', async t => {
    const { client } = await accountOf(cluster, 'cni')
    await holdsExactly(t, client, plain, { [ELSEWHERE]: [], podfence: [] })
  })
})

async function accountOf(cluster: Cluster, part: string) {
  await cluster.applyFile(new URL(`rbac-${part}.yaml`, MANIFESTS))
  return cluster.serviceAccount(`podfence/podfence-${part}`)
}

interface ResourceRule {
  readonly verbs: readonly string[]
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
}

/** What an account may do in each namespace beside what every account may, such as `plain`, is what is expected. */
async function holdsExactly(
  t: Test,
  client: KubeClient,
  plain: KubeClient,
  expected: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  for (const [namespace, rights] of Object.entries(expected)) {
    const common = await rightsOf(plain, namespace)
    const held = (await rightsOf(client, namespace)).filter(right => !common.includes(right))
    t.same([...new Set(held)].sort(), [...rights].sort(), `in ${namespace}`)
  }
}

/** Asked of the server itself. */
async function rightsOf(client: KubeClient, namespace: string): Promise<string[]> {
  const { status } = await client.ask<{ status: { incomplete: boolean; resourceRules: ResourceRule[] } }>(
    'POST',
    '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
    { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } },
  )
  if (status.incomplete) throw new Error('the server does not tell all rights')
  return status.resourceRules.flatMap(words)
}

/** A rule in single words: `get leases.coordination.k8s.io/NAME`. */
function words({ verbs, apiGroups, resources, resourceNames = [''] }: ResourceRule): string[] {
  const named = resources.flatMap(resource =>
    apiGroups.map(group => (group === '' ? resource : `${resource}.${group}`)),
  )
  const all = named.flatMap(what => resourceNames.map(name => (name === '' ? what : `${what}/${name}`)))
  return verbs.flatMap(verb => all.map(what => `${verb} ${what}`))
}

function leaseObject(name: string): KubeObject {
  return {
    ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace: 'podfence' } },
    spec: { holderIdentity: 'one', leaseDurationSeconds: 15 },
  }
}
