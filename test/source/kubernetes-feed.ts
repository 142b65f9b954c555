import t from 'tap'
import { namespace, networkPolicy, pod } from './support/cluster-objects.ts'
import { FakeApiServer } from './support/fake-api-server.ts'
import { agrees, listenTo, until } from './support/kubernetes-heard.ts'

t.setTimeout(60_000)

async function smallCluster(t: Parameters<typeof FakeApiServer.start>[0]): Promise<FakeApiServer> {
  const fake = await FakeApiServer.start(t)
  fake.put('namespaces', namespace('prod', { team: 'x' }))
  for (let at = 0; at < 25; at++) fake.put('pods', pod('prod', `p${at}`, `10.0.0.${at}`))
  fake.put('pods', pod('prod', 'job', '10.0.0.3', { phase: 'Succeeded' }))
  fake.put('networkpolicies', networkPolicy('prod', 'deny'))
  return fake
}

t.test('a listing in pages, then the changes of all kinds', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake, { pageSize: 10 })
  await until(() => fake.watching === 3)
  t.ok(agrees(heard, fake))
  t.equal(heard.entries.size, 27, 'what has ended is not there')
  t.equal(
    fake.requests.filter(({ path, query }) => path === '/api/v1/pods' && query.get('limit') === '10').length,
    3,
  )
  fake.put('pods', pod('prod', 'new', '10.0.0.77', { labels: { name: 'Ünïcode' } }))
  fake.put('namespaces', namespace('prod', { team: 'y' }))
  fake.remove('networkpolicies', 'prod', 'deny')
  await until(() => agrees(heard, fake))
  t.equal(heard.snapshots, 1)
  t.match(heard.events.at(-1)!, { revision: /^pods@\d+ namespaces@\d+ networkpolicies@\d+$/ })
  t.same(
    heard.connections.map(({ connected }) => connected),
    [true],
  )
})
