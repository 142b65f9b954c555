import { setTimeout as pause } from 'node:timers/promises'
import { openScene } from '../../e2e/support/scene.ts'
import { playScenarios } from '../../stage.ts'
import { clusterMissing, startCluster } from './cluster.ts'
import { controlled, type Deployment, direct } from './deployment.ts'
import { addressesOf, LiveStage } from './live-stage.ts'
import { namespaceObject, podObject, podStatus, policyObject } from './objects.ts'

/** The guestbook of Tectonic's document. */
const ALLOW_REDIS = {
  podSelector: { matchLabels: { role: 'db' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { 'k8s-app': 'guestbook' } } }] }],
}
const KEY = 'projectcalico.org/policy'

/**
 * What people change in Kubernetes is met by packets within a second, whichever way it comes to the agents: `direct`,
 * or through a controller and etcd.
 */
export async function playLiveChanges(how: 'direct' | 'controlled'): Promise<void> {
  await playScenarios({ agents: false, missing: clusterMissing }, async (t, stage, variant) => {
    const scene = await openScene(stage, variant, {
      front: 'n1 routed',
      box: 'n1 routed',
      db: 'n2 routed',
      shop: 'n2 routed',
    })
    const { front, box, db, shop } = scene.pods
    const cluster = await startCluster(t, { address: stage.lab.storeAddress4 })
    const { admin } = cluster
    const proxy = await cluster.proxy()
    const deploy = how === 'direct' ? direct : controlled
    const deployment: Deployment = await deploy({ t, stage, cluster, proxy: proxy.url })
    const { account, start, stop } = deployment
    const live = (test: typeof t) => new LiveStage(test, stage, variant, cluster)
    const to = (from: typeof front, place: typeof front, port: number, open: boolean) => ({
      from,
      to: place,
      port,
      open,
    })

    await admin.apply(namespaceObject('shop'))
    const first = live(t)
    await first.run('default/front', front, { labels: { tier: 'frontend', 'k8s-app': 'guestbook' } })
    await first.run('default/box', box)
    await first.run('default/db', db, { labels: { role: 'db' }, ports: { redis: 6379 } })
    await first.run('shop/client', shop)
    const pods = { n1: 2, n2: 2 }

    await t.test('NetworkPolicy, live', async t => {
      await start()
      const world = live(t)
      await world.enforced(pods)
      await scene.reaches(
        t,
        'without a policy everything is open',
        '80 6379',
        `
             front  box  db  shop
      front  -      .    .   .
      box    .      -    .   .
      db     .      .    -   .
      shop   .      .    .   -
    `,
      )
      await world.soon(
        'the guestbook: only the front end reaches Redis',
        () => admin.create(policyObject('default/allow-redis', ALLOW_REDIS)),
        [to(front, db, 6379, true), to(box, db, 6379, false), to(shop, db, 6379, false)],
      )
      await scene.reaches(
        t,
        'and nothing else changed',
        '80 6379',
        `
             front  box  db  shop
      front  -      .    .   .
      box    .      -    X   .
      db     .      .    -   .
      shop   .      .    X   -
    `,
      )
      await world.soon(
        'a policy edited: a named port only',
        () =>
          admin.apply(
            policyObject('default/allow-redis', {
              ...ALLOW_REDIS,
              ingress: [{ ...ALLOW_REDIS.ingress[0], ports: [{ port: 'redis' }] }],
            }),
          ),
        [to(front, db, 6379, true), to(front, db, 80, false)],
      )
      await world.soon('a namespace relabelled', async () => {
        await admin.create(
          policyObject('default/by-namespace', {
            podSelector: { matchLabels: { role: 'db' } },
            ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'shop' } } }] }],
          }),
        )
        await admin.patch('Namespace', 'shop', { metadata: { labels: { team: 'shop' } } })
      }, [to(shop, db, 80, true), to(box, db, 80, false)])
      await world.soon(
        'a pod relabelled',
        () => admin.patch('Pod', 'default/box', { metadata: { labels: { 'k8s-app': 'guestbook' } } }),
        [to(box, db, 6379, true), to(box, db, 80, false)],
      )
      await world.soon('a pod replaced by another one at the same address', async () => {
        await admin.remove('Pod', 'default/box')
        await world.run('default/other', box, { labels: { app: 'other' } })
      }, [to(box, db, 6379, false)])
      await world.soon(
        'terminating: still policed, still a peer',
        () => admin.remove('Pod', 'default/front', 3600),
        [to(front, db, 6379, true), to(front, db, 80, false)],
      )
      await world.soon(
        "finished: its address is nobody's, and so is closed",
        () => admin.patch('Pod', 'default/front', podStatus(addressesOf(front), 'Succeeded'), 'status'),
        [to(front, db, 6379, false), to(db, front, 80, false)],
      )
      await admin.remove('Pod', 'default/front')
      await world.soon(
        'its address given to another pod, which is a peer',
        () => world.run('default/front2', front, { labels: { tier: 'frontend', 'k8s-app': 'guestbook' } }),
        [to(front, db, 6379, true)],
      )
      for (const policy of ['default/allow-redis', 'default/by-namespace'])
        await admin.remove('NetworkPolicy', policy)
      await stop()
    })

    await t.test("the documents' annotations, live", async t => {
      await start('--annotation-policy', 'on')
      const world = live(t)
      await world.enforced(pods)
      await scene.reaches(
        t,
        'isolated by namespace',
        '80 6379',
        `
             front  box  db  shop
      front  -      .    .   X
      box    .      -    .   X
      db     .      .    -   X
      shop   X      X    X   -
    `,
      )
      const annotate = (text: string | null) => () =>
        admin.patch('Pod', 'default/db', { metadata: { annotations: { [KEY]: text } } })
      await world.soon(
        'example 1: exposed outside of its namespace',
        annotate('allow tcp to port 80; allow udp to port 80'),
        [to(shop, db, 80, true), to(shop, db, 6379, false), to(box, db, 6379, false)],
      )
      await world.soon('example 2: by label', annotate('allow from label tier=frontend'), [
        to(front, db, 6379, true),
        to(front, db, 80, true),
        to(box, db, 80, false),
        to(shop, db, 80, false),
      ])
      await world.soon('a bad annotation closes its pod', annotate('allow tcp form label tier=frontend'), [
        to(front, db, 80, false),
        to(box, db, 80, false),
      ])
      const said = (await admin.list('Event', 'default')).items.map(event => String(event.message))
      t.match(said, [/^Column 11: /], 'an Event says why')
      if (how === 'direct') {
        const { rejections } = await stage.status('n2')
        t.match(
          rejections,
          [{ key: '/kubernetes/pods/default/db', reason: /column 11/ }],
          'and so does the status',
        )
      }
      await world.soon('without it, its own namespace again', annotate(null), [
        to(box, db, 80, true),
        to(shop, db, 80, false),
      ])
      await stop()
    })

    await t.test('the API is away, forgets, breaks off, and wants another token', async t => {
      await admin.create(policyObject('default/allow-redis', ALLOW_REDIS))
      await start()
      const world = live(t)
      await world.enforced(pods)
      const held = [to(front, db, 6379, true), to(box, db, 6379, false)]
      await world.soon('before', async () => {}, held)
      const away = variant.backend === 'nft' ? 60_000 : 5_000
      await cluster.stop()
      for (let left = away; left > 0; left -= 5000) {
        await pause(5000)
        await world.soon(`stopped, ${left / 1000} s to go: the last good rules stand`, async () => {}, held)
      }
      await cluster.start()
      await world.soon('back: a change made then is seen', async () => {
        await admin.patch('Pod', 'default/other', { metadata: { labels: { 'k8s-app': 'guestbook' } } })
        await pause(8000)
      }, [to(box, db, 6379, true)])
      proxy.refuse()
      await admin.patch('Pod', 'default/other', { metadata: { labels: { 'k8s-app': null } } })
      await cluster.forget()
      proxy.accept()
      await world.soon('cut off while the server forgot: listed anew', () => pause(10_000), [
        to(box, db, 6379, false),
        to(front, db, 6379, true),
      ])
      await world.soon(
        'and watched on',
        () => admin.create(podObject('default/pending', { node: 'n1' })),
        held,
      )

      await account.renew(-120)
      proxy.refuse()
      proxy.accept()
      await pause(3000)
      await world.soon('its token has ended: the last good rules stand', async () => {}, held)
      await account.renew()
      await world.soon('another token: a change made meanwhile is seen', async () => {
        await admin.patch('Pod', 'default/other', { metadata: { labels: { 'k8s-app': 'guestbook' } } })
        await pause(12_000)
      }, [to(box, db, 6379, true)])
      await stop()
    })
  })
}
