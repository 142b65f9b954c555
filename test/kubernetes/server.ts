import { readFileSync } from 'node:fs'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { type Cluster, clusterMissing, startCluster } from './support/cluster.ts'
import { Refusal } from './support/kube-client.ts'
import type { KubeObject } from './support/object-path.ts'
import { namespaceObject, podObject, podStatus, policyObject } from './support/objects.ts'

/** Valid while it was in force before, but newer servers take no new object with it; older stores hold such. */
const NOW_REFUSED = new Set(['cidr-host-bits'])
const VALIDATION = new URL('../cases/netpol-validation.json', import.meta.url)

/** That the support of these tests is as real as they believe: each test has a namespace of its own. */
t.test('a real kube-apiserver', { skip: clusterMissing }, async t => {
  const cluster = await startCluster(t)
  const { admin } = cluster
  const { gitVersion } = await admin.ask<{ gitVersion: string }>('GET', '/version')
  t.comment(`${gitVersion}: ready after ${Math.round(cluster.readyMs)} ms, ${residentMegabytes(cluster)} MB`)

  await t.test('objects are created, told by a watch, patched and deleted', async t => {
    await admin.create(namespaceObject('life', { team: 'a' }))
    const { resourceVersion } = (await admin.list('Pod', 'life')).metadata
    const watch = await admin.watch('Pod', { namespace: 'life', resourceVersion })
    t.teardown(() => watch.end())
    await admin.create(podObject('life/web', { labels: { app: 'web' }, ports: { http: 80 } }))
    await admin.patch('Pod', 'life/web', podStatus(['10.65.0.2', 'fd65::2']), 'status')
    const running = await watch.first(({ object }) => statusOf(object).podIPs?.length === 2)
    t.match(running, { type: 'MODIFIED', object: { status: { phase: 'Running', podIP: '10.65.0.2' } } })

    await admin.create(policyObject('life/deny', { podSelector: {} }))
    t.match(await admin.get('NetworkPolicy', 'life/deny'), { spec: { policyTypes: ['Ingress'] } })

    await admin.remove('Pod', 'life/web', 30)
    const terminating = await watch.first(({ object }) => 'deletionTimestamp' in object.metadata)
    t.equal(terminating.type, 'MODIFIED', 'a terminating pod stays')
    await admin.remove('Pod', 'life/web')
    await watch.first(({ type }) => type === 'DELETED')

    await admin.create(podObject('life/left'))
    await admin.removeNamespace('life')
    await refused(t, admin.get('Namespace', 'life'), 404, 'NotFound')
    t.same((await admin.list('Pod', 'life')).items, [])
  })

  await t.test('applying makes an object, and makes it like that', async t => {
    await admin.apply(namespaceObject('applied', { team: 'a', tier: 'front' }))
    await admin.apply(namespaceObject('applied', { team: 'b' }))
    const { labels } = (await admin.get('Namespace', 'applied')).metadata
    t.same(labels, { team: 'b', 'kubernetes.io/metadata.name': 'applied' })
  })

  await t.test('it accepts of the validation cases those that are valid', async t => {
    await admin.create(namespaceObject('x'))
    const cases = JSON.parse(readFileSync(VALIDATION, 'utf8')) as ValidationCase[]
    t.equal(cases.length, 34)
    for (const { name, valid, why, policy } of cases) {
      const { code, text } = await admin.raw(
        'POST',
        '/apis/networking.k8s.io/v1/namespaces/x/networkpolicies',
        policy,
      )
      t.equal(
        code === 201,
        valid && !NOW_REFUSED.has(name),
        `${name} (${why}): ${code} ${text.slice(0, 300)}`,
      )
    }
  })

  await t.test('a service account may do what its rights say, and nothing else', async t => {
    await admin.create(namespaceObject('rights'))
    await admin.create(accountObject('rights/reader'))
    for (const object of readerRole('rights')) await admin.create(object)
    const { client } = await cluster.serviceAccount('rights/reader')
    t.same((await client.list('Pod', 'rights')).items, [])
    await refused(t, client.list('Pod'), 403, 'Forbidden')
    await refused(t, client.list('NetworkPolicy', 'rights'), 403, 'Forbidden')
    await refused(t, client.create(podObject('rights/web')), 403, 'Forbidden')
  })

  await t.test('a token ends, and its file is renewed', async t => {
    await admin.create(namespaceObject('tokens'))
    await admin.create(accountObject('tokens/reader'))
    for (const object of readerRole('tokens')) await admin.create(object)
    const account = await cluster.serviceAccount('tokens/reader')
    await account.renew(-120)
    await refused(t, account.client.list('Pod', 'tokens'), 401, 'Unauthorized')
    await account.renew(60)
    t.same((await account.client.list('Pod', 'tokens')).items, [], 'a short token is good')
  })

  await t.test('connections can be cut on the way', async t => {
    const proxy = await cluster.proxy()
    const socket = connect({ host: '127.0.0.1', port: proxy.port, ca: readFileSync(cluster.certificates.ca) })
    await new Promise(resolve => socket.on('secureConnect', resolve))
    const closed = new Promise(resolve => socket.on('close', resolve))
    socket.on('error', () => {})
    proxy.refuse()
    await closed
    t.ok(socket.destroyed)
  })

  await t.test('a paused server answers when it goes on', async t => {
    await cluster.pause()
    let answered = false
    const asked = admin.list('Namespace').then(({ items }) => {
      answered = true
      return items
    })
    await new Promise(resolve => setTimeout(resolve, 300))
    t.notOk(answered)
    cluster.resume()
    t.ok((await asked).length > 0)
  })

  await t.test('a restart keeps the data and ends the watches', async t => {
    await admin.create(namespaceObject('kept'))
    const { resourceVersion } = (await admin.list('Namespace')).metadata
    const watch = await admin.watch('Namespace', { resourceVersion })
    await cluster.restart()
    await watch.ended
    t.match(await admin.get('Namespace', 'kept'), { metadata: { name: 'kept' } })
    await cluster.restart('SIGTERM')
    t.match(await admin.get('Namespace', 'kept'), { metadata: { name: 'kept' } })
  })

  await t.test('what is forgotten is answered with 410', async t => {
    await admin.create(namespaceObject('past'))
    for (const name of ['a', 'b', 'c']) await admin.create(podObject(`past/${name}`))
    const page = await admin.list('Pod', 'past', { limit: 1 })
    const { resourceVersion, continue: next } = page.metadata
    await admin.create(podObject('past/d'))
    await cluster.forget()
    await refused(t, admin.list('Pod', 'past', { limit: 1, continue: next! }), 410, 'Expired')
    const watch = await admin.watch('Pod', { namespace: 'past', resourceVersion })
    const { object } = await watch.first(({ type }) => type === 'ERROR')
    t.match(object, { kind: 'Status', code: 410, reason: 'Expired' })
    watch.end()
    t.equal((await admin.list('Pod', 'past')).items.length, 4)
  })
})

interface ValidationCase {
  readonly name: string
  readonly valid: boolean
  readonly why: string
  readonly policy: object
}

async function refused(t: Test, asked: Promise<unknown>, code: number, reason: string): Promise<void> {
  await t.rejects(asked, Object.assign(new Refusal(code, reason, ''), { message: /./ }), `${code} ${reason}`)
}

function statusOf(object: KubeObject): { podIPs?: unknown[] } {
  return (object.status ?? {}) as { podIPs?: unknown[] }
}

function accountObject(id: string): KubeObject {
  const [namespace = '', name = ''] = id.split('/')
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } }
}

function readerRole(namespace: string): KubeObject[] {
  const group = 'rbac.authorization.k8s.io'
  const metadata = { name: 'reader', namespace }
  return [
    {
      ...{ apiVersion: `${group}/v1`, kind: 'Role', metadata },
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] }],
    },
    {
      ...{ apiVersion: `${group}/v1`, kind: 'RoleBinding', metadata },
      roleRef: { apiGroup: group, kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace }],
    },
  ]
}

function residentMegabytes({ pid }: Cluster): number {
  const [, kilobytes] = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+)/m)!
  return Math.round(Number(kilobytes) / 1024)
}
