import { readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { KubernetesApi } from '../../src/source/kubernetes/api.ts'
import { openKubernetes } from '../../src/source/kubernetes/client.ts'
import { readKubeconfig } from '../../src/source/kubernetes/kubeconfig.ts'
import {
  KubernetesSource,
  type KubernetesSourceOptions,
} from '../../src/source/kubernetes/kubernetes-source.ts'
import { Lease } from '../../src/source/kubernetes/lease.ts'
import { objectKey } from '../../src/source/kubernetes/object-key.ts'
import { trimObject } from '../../src/source/kubernetes/trim.ts'
import { Heard } from '../source/heard.ts'
import { type Cluster, clusterMissing, startCluster } from './support/cluster.ts'
import { namespaceObject, podObject, podStatus, policyObject } from './support/objects.ts'

t.setTimeout(900_000)

/** The source against a real kube-apiserver, with the rights of the agent's manifest and nothing more. */
t.test('the Kubernetes source', { skip: clusterMissing }, async t => {
  const cluster = await startCluster(t)
  const { admin } = cluster
  await cluster.applyFile('src/deploy/rbac-agent.yaml')
  await admin.create(namespaceObject('prod', { team: 'a' }))
  for (let at = 0; at < 20; at++) {
    await admin.create(podObject(`prod/p${at}`, { labels: { app: 'web' }, ports: { http: 80 } }))
    await admin.patch('Pod', `prod/p${at}`, podStatus([`10.65.0.${at}`, `fd65::${at}`]), 'status')
  }
  await admin.create(policyObject('prod/deny', { podSelector: {} }))

  await t.test('a listing in pages, then what changes, and only that', async t => {
    const { heard } = await listening(t, cluster, { pageSize: 7 })
    await agreement(cluster, heard)
    for (let at = 0; at < 20; at++) {
      const conditions = [{ type: 'Ready', status: 'True', lastProbeTime: new Date().toISOString() }]
      await admin.patch('Pod', `prod/p${at}`, { status: { conditions } }, 'status')
    }
    await admin.patch('Pod', 'prod/p1', { metadata: { labels: { app: 'db' } } })
    await admin.patch('Pod', 'prod/p2', { status: { phase: 'Succeeded' } }, 'status')
    await admin.patch('Namespace', 'prod', { metadata: { labels: { team: 'b' } } })
    await admin.remove('NetworkPolicy', 'prod/deny')
    await admin.remove('Pod', 'prod/p3', 30)
    await admin.remove('Pod', 'prod/p4')
    await agreement(cluster, heard)
    const told = heard.changes.map(({ key, value }) => (value === null ? `-${key}` : key))
    t.same(told.toSorted(), [
      '-/kubernetes/networkpolicies/prod/deny',
      '-/kubernetes/pods/prod/p2',
      '-/kubernetes/pods/prod/p4',
      '/kubernetes/namespaces/prod',
      '/kubernetes/pods/prod/p1',
      '/kubernetes/pods/prod/p3',
      // It terminates before it is gone.
      '/kubernetes/pods/prod/p4',
    ])
    t.equal(heard.snapshots, 1)
  })

  await t.test('connections that break after some bytes, again and again', async t => {
    const { heard, proxy } = await listening(t, cluster)
    await agreement(cluster, heard)
    for (let round = 0; round < 6; round++) {
      proxy.refuse()
      for (let at = 0; at < 10; at++)
        await admin.patch('Pod', `prod/p${5 + at}`, { metadata: { labels: { round: `${round}.${at}` } } })
      // Enough for TLS and some events.
      proxy.accept(() => 4_000 + Math.floor(Math.random() * 12_000))
      await pause(300)
      proxy.accept()
      await agreement(cluster, heard)
    }
    t.equal(heard.snapshots, 1, 'each time it went on where it was')
  })

  await t.test('a server that is killed, or says farewell', async t => {
    const { heard } = await listening(t, cluster)
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await agreement(cluster, heard)
      await cluster.restart(signal)
      await admin.patch('Pod', 'prod/p5', { metadata: { labels: { signal } } })
      await agreement(cluster, heard)
    }
    t.ok(heard.connections.some(({ connected }) => !connected))
  })

  await t.test('a server that has forgotten everything before', async t => {
    const { heard } = await listening(t, cluster)
    await agreement(cluster, heard)
    await admin.patch('Pod', 'prod/p5', { metadata: { labels: { signal: 'forgotten' } } })
    await cluster.forget()
    await admin.remove('Pod', 'prod/p6')
    await agreement(cluster, heard)
    t.notOk(heard.entries.has(objectKey('pods', 'prod', 'p6')))
  })

  await t.test('a server that stands still is noticed', async t => {
    const { heard } = await listening(t, cluster, { quietMs: 300, answerMs: 3_000 })
    await agreement(cluster, heard)
    cluster.pause()
    await heard.until(() => heard.connections.at(-1)?.connected === false)
    t.match(heard.connections.at(-1)?.reason, /no answer|no connection/)
    cluster.resume()
    await admin.patch('Pod', 'prod/p7', { metadata: { labels: { stood: 'still' } } })
    await agreement(cluster, heard)
  })

  await t.test('a token that has ended, until there is another one', async t => {
    const { heard, proxy, account } = await listening(t, cluster)
    await agreement(cluster, heard)
    writeFileSync(account.tokenFile, 'ended')
    proxy.refuse()
    proxy.accept()
    await heard.until(() => /401 Unauthorized/.test(heard.connections.at(-1)?.reason ?? ''))
    await admin.patch('Pod', 'prod/p8', { metadata: { labels: { token: 'new' } } })
    await account.renew()
    await agreement(cluster, heard)
    t.equal(heard.snapshots, 1)
  })

  await t.test('a cluster that is restored from a backup', async t => {
    await cluster.stop()
    await cluster.etcd.save()
    await cluster.start()
    for (let at = 0; at < 50; at++)
      await admin.patch('Pod', 'prod/p9', { metadata: { labels: { at: String(at) } } })
    await admin.create(podObject('prod/after'))
    const { heard } = await listening(t, cluster)
    await agreement(cluster, heard)
    t.ok(heard.entries.has(objectKey('pods', 'prod', 'after')))
    await cluster.stop()
    await cluster.etcd.restore()
    await cluster.start()
    await agreement(cluster, heard)
    t.notOk(heard.entries.has(objectKey('pods', 'prod', 'after')))
    await admin.patch('Pod', 'prod/p9', { metadata: { labels: { at: 'restored' } } })
    await agreement(cluster, heard)
  })

  await t.test('a lease, with the rights of the controller', async t => {
    await cluster.applyFile('src/deploy/rbac-controller.yaml')
    const account = await cluster.serviceAccount('podfence/podfence-controller')
    const place = { namespace: 'podfence', name: 'podfence-controller' }
    const lease = (identity: string) => new Lease(opened(t, account.kubeconfig), { ...place, identity })
    const [a, b] = [lease('a'), lease('b')]
    t.same([await a.attempt(), await b.attempt(), b.holder], [true, false, 'a'])
    t.equal(await a.attempt(), true, 'renewed')
    await a.release()
    t.same([await b.attempt(), await a.attempt(), a.holder], [true, false, 'b'])
  })
})

function opened(t: Test, kubeconfig: string): KubernetesApi {
  const api = openKubernetes(readKubeconfig(readFileSync(kubeconfig, 'utf8'), dirname(kubeconfig)))
  t.teardown(() => api.close())
  return api
}

/** A source behind a proxy, which has told its first snapshot. */
async function listening(t: Test, cluster: Cluster, options: KubernetesSourceOptions = {}) {
  const proxy = await cluster.proxy()
  const account = await cluster.serviceAccount('podfence/podfence-agent', proxy.url)
  const heard = new Heard(new KubernetesSource(opened(t, account.kubeconfig), options))
  t.teardown(() => heard.stop())
  await heard.until(() => heard.snapshots > 0)
  return { heard, proxy, account }
}

/** Resolves when the source has told exactly what the server holds; the test's own limit ends a wait in vain. */
async function agreement(cluster: Cluster, heard: Heard): Promise<void> {
  for (;;) {
    const wanted = await entriesOf(cluster)
    // An event may be on its way still.
    for (let tries = 0; tries < 20; tries++) {
      if (isSame(wanted, heard.entries)) return
      await pause(50)
    }
  }
}

async function entriesOf({ admin }: Cluster): Promise<Map<string, string>> {
  const entries = new Map<string, string>()
  for (const [kind, resource] of [
    ['Namespace', 'namespaces'],
    ['NetworkPolicy', 'networkpolicies'],
    ['Pod', 'pods'],
  ] as const)
    for (const object of (await admin.list(kind)).items) {
      const { phase } = (object.status ?? {}) as { phase?: string }
      if (phase === 'Succeeded' || phase === 'Failed') continue
      const { namespace = '', name = '' } = object.metadata
      entries.set(objectKey(resource, namespace, name), trimObject(resource, { ...object }))
    }
  return entries
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
}
