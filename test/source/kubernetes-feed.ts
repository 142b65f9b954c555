import t, { type Test } from 'tap'
import { namespace, networkPolicy, pod } from './support/cluster-objects.ts'
import { FakeApiServer, json, status } from './support/fake-api-server.ts'
import { agrees, listenTo, until } from './support/kubernetes-heard.ts'

t.setTimeout(300_000)

/** 25 pods and one that has ended, a namespace and a policy. */
async function smallCluster(t: Test): Promise<FakeApiServer> {
  const fake = await FakeApiServer.start(t)
  fake.put('namespaces', namespace('prod', { team: 'x' }))
  for (let at = 0; at < 25; at++) fake.put('pods', pod('prod', `p${at}`, `10.0.0.${at}`))
  fake.put('pods', pod('prod', 'job', '10.0.0.3', { phase: 'Succeeded' }))
  fake.put('networkpolicies', networkPolicy('prod', 'deny'))
  return fake
}

function listsOf(fake: FakeApiServer, limit: number, path = '/api/v1/pods'): number {
  return fake.requests.filter(seen => seen.path === path && seen.query.get('limit') === String(limit)).length
}

t.test('a listing in pages, then the changes of all kinds', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake, { pageSize: 10 })
  await until(() => fake.watching === 3)
  t.ok(agrees(heard, fake))
  t.equal(heard.entries.size, 27, 'what has ended is not there')
  t.equal(listsOf(fake, 10), 3)
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

t.test('a pod that ends, and one whose name comes again, are told as what they are', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  fake.put('pods', pod('prod', 'p1', '10.0.0.1', { phase: 'Failed' }))
  await until(() => agrees(heard, fake))
  t.same(heard.changes, [{ key: '/kubernetes/pods/prod/p1', value: null }])
  fake.remove('pods', 'prod', 'p1')
  fake.put('pods', pod('prod', 'p1', '10.0.0.1'))
  await until(() => agrees(heard, fake))
  t.equal(heard.changes.length, 2, 'it had gone before it was deleted')
})

t.test('what says nothing new is not told, and moves the position', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  for (let at = 0; at < 25; at++) {
    const beating = pod('prod', `p${at}`, `10.0.0.${at}`)
    beating.status!.conditions = [{ type: 'Ready', status: 'True', lastProbeTime: String(at) }]
    fake.put('pods', beating)
  }
  fake.put('pods', pod('prod', 'last', '10.0.0.99'))
  await until(() => agrees(heard, fake))
  t.same(
    heard.changes.map(({ key }) => key),
    ['/kubernetes/pods/prod/last'],
  )
  // Everything before is forgotten now: only a position that moved can go on.
  fake.compact()
  fake.endWatches()
  await until(() => fake.watching === 3)
  fake.put('pods', pod('prod', 'later', '10.0.0.98'))
  await until(() => agrees(heard, fake))
})

t.test('what comes in one chunk is told as one', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  let held = ''
  fake.chunks = line => {
    held += line
    return []
  }
  for (let at = 0; at < 5; at++) fake.put('pods', pod('prod', `q${at}`, `10.0.1.${at}`))
  fake.shout('pods', held)
  await until(() => agrees(heard, fake))
  t.match(
    heard.events.filter(({ kind }) => kind === 'changes'),
    [{ changes: { length: 5 } }],
  )
})

t.test('chunks may end anywhere, also within a character', async t => {
  const fake = await smallCluster(t)
  fake.chunks = line => [...Buffer.from(line)].map(byte => Buffer.of(byte))
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  fake.put('pods', pod('prod', 'new', '10.0.0.77', { annotations: { policy: 'größer — 政策' } }))
  await until(() => agrees(heard, fake))
  t.match(heard.entries.get('/kubernetes/pods/prod/new'), /größer — 政策/)
})

t.test('watches that end as they must are opened again, and nobody hears of it', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  for (let round = 0; round < 3; round++) {
    fake.bookmark()
    fake.endWatches()
    fake.put('pods', pod('prod', 'between', `10.0.9.${round}`))
    await until(() => agrees(heard, fake) && fake.watching === 3)
  }
  t.equal(heard.snapshots, 1)
  t.equal(heard.connections.length, 1)
  t.match(
    fake.requests.findLast(({ query }) => query.has('watch'))?.query.get('timeoutSeconds'),
    /^2[2-7]\d$/,
  )
})

t.test('bookmarks keep a watch young', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  // Only events of other kinds: for the watch of namespaces nothing but the bookmark moves on.
  fake.put('pods', pod('prod', 'new', '10.0.0.77'))
  fake.bookmark()
  fake.compact()
  fake.put('networkpolicies', networkPolicy('prod', 'other'))
  await until(() => agrees(heard, fake))
  fake.endWatches()
  await until(() => fake.watching === 3)
  fake.put('namespaces', namespace('test'))
  await until(() => agrees(heard, fake))
  t.equal(heard.snapshots, 1)
})

t.test('broken connections go on where they were, also in the middle of a line', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  for (let round = 0; round < 4; round++) {
    if (round % 2 === 0) fake.cut()
    else fake.cutWithin('pods', pod('prod', 'cut', `10.0.8.${round}`))
    fake.put('namespaces', namespace('prod', { round: String(round) }))
    await until(() => agrees(heard, fake) && fake.watching === 3)
  }
  // The server knows of a watch before its client has heard so.
  await until(() => heard.connections.at(-1)?.connected === true)
  t.equal(heard.snapshots, 1)
  t.ok(heard.connections.some(({ connected }) => !connected))
})

t.test('a server that is away is waited for', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  fake.refuse()
  await heard.until(() => heard.connections.at(-1)?.connected === false)
  fake.put('pods', pod('prod', 'meanwhile', '10.0.0.88'))
  fake.remove('pods', 'prod', 'p3')
  fake.accept()
  await until(() => agrees(heard, fake))
  t.equal(heard.snapshots, 1)
})

t.test('a server that hangs is noticed', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake, { quietMs: 20, answerMs: 1_000 })
  await until(() => fake.watching === 3)
  fake.freeze()
  await heard.until(() => heard.connections.at(-1)?.connected === false)
  t.match(heard.connections.at(-1)?.reason, /no answer within/)
  fake.put('pods', pod('prod', 'meanwhile', '10.0.0.88'))
  fake.thaw()
  await until(() => agrees(heard, fake) && heard.connections.at(-1)?.connected === true)
  t.equal(heard.snapshots, 1)
})

t.test('a server that refuses to tell its version lives', async t => {
  const fake = await smallCluster(t)
  let asked = 0
  fake.intercept = ({ path }, response) => {
    if (path !== '/version') return false
    asked += 1
    status(response, 403, 'Forbidden', 'no')
    return true
  }
  const heard = listenTo(t, fake, { quietMs: 10 })
  await until(() => asked > 3)
  t.same(
    heard.connections.map(({ connected }) => connected),
    [true],
  )
})

t.test('one watch that is silent for longer than bookmarks are apart is opened anew', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake, {}, { silenceMs: 50 })
  await until(() => fake.requests.filter(({ query }) => query.has('watch')).length > 6)
  fake.put('pods', pod('prod', 'new', '10.0.0.77'))
  await until(() => agrees(heard, fake))
  t.equal(heard.connections.length, 1)
})

for (const [name, forget] of [
  ['410 where a watch begins', fake => fake.compact()],
  [
    'an ERROR event',
    fake => {
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' }
      fake.shout('pods', `${JSON.stringify({ type: 'ERROR', object })}\n`)
    },
  ],
  ['a line that is no JSON', fake => fake.shout('networkpolicies', '<html>oops\n')],
  ['JSON that is no event', fake => fake.shout('namespaces', '"x"\n')],
  ['an event of an unknown type', fake => fake.shout('pods', '{"type":"WHAT","object":{}}\n')],
  ['an object without a name', fake => fake.shout('pods', '{"type":"ADDED","object":{"metadata":{}}}\n')],
  ['a line without an end', fake => fake.shout('pods', 'x'.repeat(20_000))],
  [
    'an older version than before',
    fake => {
      const object = { metadata: { name: 'a', namespace: 'b', uid: 'c', resourceVersion: '7' } }
      fake.shout('pods', `${JSON.stringify({ type: 'ADDED', object })}\n`)
    },
  ],
] as [string, (fake: FakeApiServer) => void][])
  t.test(`${name} is a reason to list again`, async t => {
    const fake = await smallCluster(t)
    const heard = listenTo(t, fake, {}, { longestLine: 10_000 })
    await until(() => fake.watching === 3)
    t.equal(heard.snapshots, 1)
    forget(fake)
    fake.put('pods', pod('prod', 'new', '10.0.0.77'))
    // What has passed on these watches proves nothing: they must be opened anew to meet what was forgotten.
    if (name.startsWith('410')) {
      await until(() => agrees(heard, fake))
      fake.compact()
      fake.cut()
    }
    await heard.until(() => heard.snapshots === 2)
    await until(() => agrees(heard, fake) && fake.watching === 3)
    t.match(
      heard.connections.map(({ reason }) => reason).find(reason => reason.startsWith('listing again')),
      /./,
    )
    fake.remove('pods', 'prod', 'new')
    await until(() => agrees(heard, fake))
  })

t.test('a listing that expires between its pages is begun anew', async t => {
  const fake = await smallCluster(t)
  let pages = 0
  fake.intercept = ({ path, query }) => {
    if (path === '/api/v1/pods' && query.get('limit') === '10' && ++pages === 2) fake.compact()
    return false
  }
  const heard = listenTo(t, fake, { pageSize: 10 })
  await until(() => fake.watching === 3)
  t.ok(agrees(heard, fake))
  t.equal(listsOf(fake, 10), 5)
  t.equal(heard.snapshots, 1)
})

t.test('no pod is listed without the namespace and the policies that were there before it', async t => {
  const fake = await smallCluster(t)
  const listed = new Set<string>()
  fake.before = async ({ path, query }) => {
    const kind = path.split('/').at(-1)!
    if (query.has('watch') || listed.has(kind)) return
    listed.add(kind)
    // Between any two lists somebody makes a namespace, a policy and a pod, in this order.
    const name = `before-${kind}`
    fake.put('namespaces', namespace(name))
    fake.put('networkpolicies', networkPolicy(name, 'deny'))
    fake.put('pods', pod(name, 'late', '10.0.0.99'))
  }
  const heard = listenTo(t, fake)
  await until(() => heard.snapshots === 1)
  const { entries } = heard.events.find(event => event.kind === 'snapshot')!
  for (const kind of listed) {
    if (!entries.has(`/kubernetes/pods/before-${kind}/late`)) continue
    t.ok(entries.has(`/kubernetes/namespaces/before-${kind}`), `${kind}: namespace`)
    t.ok(entries.has(`/kubernetes/networkpolicies/before-${kind}/deny`), `${kind}: policy`)
  }
  t.equal(listed.size, 3)
})

t.test('a page of too many bytes is asked for in smaller ones', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake, { pageSize: 100 }, { mostBytes: 4_000 })
  await until(() => fake.watching === 3)
  t.ok(agrees(heard, fake))
  t.equal(listsOf(fake, 7), 4)
})

t.test('a cluster restored from a backup is listed again, though its versions are older', async t => {
  const fake = await smallCluster(t)
  const version = fake.version
  const backup = fake.backup()
  for (let at = 0; at < 100; at++) fake.put('pods', pod('prod', 'busy', `10.1.0.${at}`))
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  fake.restore(version, backup)
  await heard.until(() => heard.snapshots === 2)
  await until(() => agrees(heard, fake) && fake.watching === 3)
  t.match(heard.connections.map(({ reason }) => reason).join('\n'), /before|another history|is gone/)
  fake.put('pods', pod('prod', 'new', '10.0.0.77'))
  await until(() => agrees(heard, fake))
})

for (const [how, back] of [
  ['is older', 10],
  ['has another text at the same version', 0],
] as const)
  t.test(`a restored cluster that counts fast is known, since the last object seen ${how}`, async t => {
    const fake = await smallCluster(t)
    const version = fake.version - back
    const [policies, others] = [true, false].map(is =>
      fake.backup().filter(([plural]) => (plural === 'networkpolicies') === is),
    )
    fake.put('networkpolicies', networkPolicy('prod', 'deny', { policyTypes: ['Ingress', 'Egress'] }))
    const heard = listenTo(t, fake)
    await until(() => fake.watching === 3)
    fake.refuse()
    await heard.until(() => heard.connections.at(-1)?.connected === false)
    // The policy is in the backup as it was before.
    fake.restore(version, policies!)
    for (const [plural, object] of others!) fake.put(plural, object)
    fake.accept()
    await heard.until(() => heard.snapshots === 2)
    await until(() => agrees(heard, fake))
  })

t.test('garbage in the place of a list is no list', async t => {
  const fake = await smallCluster(t)
  const answers: unknown[] = [{}, [], { metadata: { resourceVersion: '5' }, items: {} }, 'x', null]
  fake.intercept = (_, response) => {
    if (answers.length === 0) return false
    json(response, 200, answers.shift())
    return true
  }
  const heard = listenTo(t, fake)
  await heard.until(() => heard.snapshots === 1)
  t.ok(agrees(heard, fake))
  t.equal(heard.connections[0]?.connected, false)
})

t.test('a kind without objects is an empty list, as null too', async t => {
  const fake = await FakeApiServer.start(t)
  fake.intercept = ({ query }, response) => {
    if (query.has('watch')) return false
    json(response, 200, { metadata: { resourceVersion: '100' }, items: null })
    return true
  }
  const heard = listenTo(t, fake)
  await heard.until(() => heard.snapshots === 1)
  t.equal(heard.entries.size, 0)
})

t.test('a server that ends each watch at once is not asked without rest', async t => {
  const fake = await smallCluster(t)
  const waits: number[] = []
  fake.intercept = ({ query }, response) => {
    if (!query.has('watch')) return false
    response.writeHead(200).end()
    return true
  }
  const pace = {
    wait: async (failures: number) => void waits.push(failures),
    now: () => 0,
    isLong: () => false,
  }
  const heard = listenTo(t, fake, { pace })
  await until(() => waits.length > 3)
  t.ok(waits.includes(3), 'the waits grow')
  t.match(heard.connections.at(-1)?.reason, /end as soon as they begin/)
})

t.test('a relist gives a snapshot, also while a listing is under way', async t => {
  const fake = await smallCluster(t)
  const heard = listenTo(t, fake)
  await until(() => fake.watching === 3)
  fake.freeze()
  heard.source.relist('asked for')
  await new Promise(resolve => setImmediate(resolve))
  heard.source.relist('asked for again')
  fake.put('pods', pod('prod', 'new', '10.0.0.77'))
  fake.thaw()
  await heard.until(() => heard.snapshots >= 2)
  await until(() => agrees(heard, fake) && fake.watching === 3)
  fake.put('pods', pod('prod', 'new', '10.0.0.78'))
  await until(() => agrees(heard, fake))
})
