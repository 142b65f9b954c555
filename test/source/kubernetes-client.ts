import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { PodfenceError } from '../../src/errors.ts'
import { ApiError, answeredError, unansweredError } from '../../src/source/kubernetes/api-error.ts'
import { apiPath, EVENTS, LEASES, NAMESPACES, PODS } from '../../src/source/kubernetes/api-path.ts'
import { podEvent, warnOfPod } from '../../src/source/kubernetes/pod-event.ts'
import { Certificates, testDirectory } from './support/certificates.ts'
import { pod } from './support/cluster-objects.ts'
import { FakeApiServer, status } from './support/fake-api-server.ts'
import { openApi } from './support/kubernetes-heard.ts'

t.setTimeout(300_000)

/** What the promise was rejected with, as code, HTTP status and Kubernetes' reason. */
async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => 'no failure',
    error =>
      error instanceof ApiError
        ? [error.code, error.status, error.reason]
        : error instanceof PodfenceError
          ? error.code
          : error,
  )
}

t.test('paths', async t => {
  t.equal(apiPath(PODS), '/api/v1/pods')
  t.equal(apiPath(PODS, { namespace: 'a' }), '/api/v1/namespaces/a/pods')
  t.equal(apiPath(NAMESPACES, { name: 'a' }), '/api/v1/namespaces/a')
  t.equal(
    apiPath(LEASES, { namespace: 'a', name: 'b' }, { x: 'ä&=', n: 1, none: undefined }),
    '/apis/coordination.k8s.io/v1/namespaces/a/leases/b?x=%C3%A4%26%3D&n=1',
  )
  t.equal(apiPath(PODS, { namespace: '../x', name: 'a?b#c' }), '/api/v1/namespaces/..%2Fx/pods/a%3Fb%23c')
  for (const name of ['', '.', '..']) t.throws(() => apiPath(PODS, { name }), /no name/)
  const fake = await FakeApiServer.start(t)
  const api = openApi(t, fake)
  for (const path of [
    '/',
    '/metrics',
    '/api/../metrics',
    '/api/v1/%2e%2E/x',
    '/api/v1//pods',
    '/apix/v1',
    '/api',
  ])
    await t.rejects(api.get(path), /no path of the Kubernetes API/, path)
  t.same(fake.requests, [])
  t.match(await api.get('/version'), { gitVersion: /^v/ })
})

t.test('each verb, and what goes wrong with it', async t => {
  const fake = await FakeApiServer.start(t)
  const api = openApi(t, fake)
  const path = apiPath(PODS, { namespace: 'a', name: 'p' })
  t.same(await failureOf(api.get(path)), ['STORE_UNREACHABLE', 404, 'NotFound'])
  const made = await api.create(apiPath(PODS, { namespace: 'a' }), pod('a', 'p'))
  t.same(await failureOf(api.create(apiPath(PODS, { namespace: 'a' }), pod('a', 'p'))), [
    'STORE_UNREACHABLE',
    409,
    'AlreadyExists',
  ])
  t.same(await api.get(path), made)
  const changed = { ...(made as object), spec: { nodeName: 'ü' } }
  t.match(await api.update(path, changed), { spec: { nodeName: 'ü' } })
  t.same(await failureOf(api.update(path, changed)), ['STORE_UNREACHABLE', 409, 'Conflict'])
  t.match(await api.patch(path, { metadata: { labels: { x: 'y' } } }), {
    metadata: { labels: { x: 'y' } },
    spec: { nodeName: 'ü' },
  })
  await api.remove(path)
  t.same(await failureOf(api.get(path)), ['STORE_UNREACHABLE', 404, 'NotFound'])
  t.same(
    fake.requests.map(({ method }) => method),
    ['GET', 'POST', 'POST', 'GET', 'PUT', 'PUT', 'PATCH', 'DELETE', 'GET'],
  )
})

t.test('failures are explained, and a secret is in none of them', async t => {
  const body = JSON.stringify({ kind: 'Status', reason: 'Forbidden', message: 'pods is forbidden: User "x"' })
  t.match(answeredError('https://a', 403, body), {
    code: 'STORE_DENIED',
    message: 'Kubernetes API at https://a: 403 Forbidden: pods is forbidden: User "x"',
    next: /ClusterRole/,
  })
  t.match(answeredError('https://a', 401, ''), { code: 'STORE_DENIED', next: /token/ })
  t.equal(
    answeredError('https://a', 502, '<html>\n Bad   Gateway').message,
    'Kubernetes API at https://a: 502: <html> Bad Gateway',
  )
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' })
  t.match(unansweredError('a', new AggregateError([refused, new Error('other')], '')), {
    code: 'STORE_UNREACHABLE',
    status: 0,
    message: 'Kubernetes API at a: connect ECONNREFUSED ::1:1',
  })
  const api = openApi(t, { url: 'http://127.0.0.1:1' }, { token: { text: 'secret-token' } })
  const error = (await api.get('/version').catch(thrown => thrown)) as ApiError
  t.match(error, { status: 0, message: /ECONNREFUSED/ })
  t.notMatch(JSON.stringify(error, Object.getOwnPropertyNames(error)), /secret-token/)
})

t.test('an answer that is no JSON, too long, cut or late', async t => {
  const fake = await FakeApiServer.start(t)
  const api = openApi(t, fake, {}, { mostBytes: 1_000 })
  const hasty = openApi(t, fake, {}, { idleMs: 50 })
  let answers: ((response: Parameters<typeof status>[0]) => unknown)[] = []
  fake.intercept = (_, response) => {
    const next = answers.shift()
    next?.(response)
    return next !== undefined
  }
  answers = [response => response.end('<html>')]
  await t.rejects(api.get('/version'), { status: 0, message: /not JSON/ })
  answers = [response => response.end('x'.repeat(1_001))]
  await t.rejects(api.get('/version'), { status: 0, message: /more than 1000 bytes/ })
  answers = [response => response.writeHead(302, { location: 'http://127.0.0.1:1/api' }).end()]
  await t.rejects(api.get('/version'), { status: 302, message: /302/ }, 'a redirection is not followed')
  const partly = (response: Parameters<typeof status>[0], then: () => void) =>
    response.writeHead(200, { 'content-length': 10 }).write('{', then)
  answers = [response => partly(response, () => response.destroy())]
  await t.rejects(api.get('/version'), { status: 0, message: /aborted|ECONNRESET/ })
  answers = [response => partly(response, () => undefined)]
  await t.rejects(hasty.get('/version'), { status: 0, message: /no byte for 50 ms/ })
  answers = [() => undefined]
  await t.rejects(api.get('/version', { answerMs: 50 }), { status: 0, message: /no answer within 50 ms/ })
  t.match(await api.get('/version'), { gitVersion: /^v/ })
})

t.test('a server that accepts and says nothing to TLS is no connection', async t => {
  const sockets: Socket[] = []
  const server = createServer(socket => sockets.push(socket))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  const api = openApi(t, { url: `https://127.0.0.1:${port}` }, {}, { connectMs: 50 })
  await t.rejects(api.get('/version'), { status: 0, message: /no connection within 50 ms/ })
})

t.test('an aborted request is over', async t => {
  const fake = await FakeApiServer.start(t)
  fake.freeze()
  const api = openApi(t, fake)
  const stop = new AbortController()
  const asked = api.get('/version', { signal: stop.signal })
  setImmediate(() => stop.abort())
  await t.rejects(asked, { status: 0, message: /aborted/ })
})

t.test('a connection that the server closed while it was idle is no failure of a read', async t => {
  const fake = await FakeApiServer.start(t)
  const api = openApi(t, fake)
  await api.get('/version')
  let resets = 0
  fake.intercept = (_, response) => {
    if (resets++ > 0) return false
    response.socket?.resetAndDestroy()
    return true
  }
  await api.get('/version')
  t.equal(resets, 2)
  resets = 0
  await t.rejects(
    api.create(apiPath(PODS, { namespace: 'a' }), pod('a', 'p')),
    { status: 0, message: /./ },
    'a write may be done',
  )
})

t.test('a token from a file is read again when it changes, and at once when it is refused', async t => {
  const fake = await FakeApiServer.start(t)
  const file = join(testDirectory(t), 'token')
  const api = openApi(t, fake, { token: { file } })
  t.equal(await failureOf(api.get('/version')), 'CONFIG_INVALID')
  writeFileSync(file, 'one\n')
  fake.token = 'one'
  await api.get('/version')
  writeFileSync(file, 'three')
  fake.token = 'three'
  await api.get('/version')
  t.equal(fake.requests.length, 2, 'without being refused first')
  rmSync(file)
  await api.get('/version')
  t.pass('the last token holds while there is none')
  writeFileSync(`${file}.new`, 'seven')
  renameSync(`${file}.new`, file)
  fake.token = 'eight'
  t.same(await failureOf(api.get('/version')), ['STORE_DENIED', 401, 'Unauthorized'])
  // It changes while the request is under way.
  fake.requests.length = 0
  fake.intercept = (_, response) => {
    fake.intercept = () => false
    writeFileSync(file, 'eight')
    status(response, 401, 'Unauthorized', 'Unauthorized')
    return true
  }
  await api.get('/version')
  t.same(
    fake.requests.map(({ authorization }) => authorization),
    ['Bearer seven', 'Bearer eight'],
  )
  writeFileSync(file, 'a token with\nbreaks')
  t.equal(await failureOf(api.get('/version')), 'CONFIG_INVALID')
})

t.test('TLS: whom we trust, by which name, and who we are', async t => {
  const certificates = new Certificates(t)
  certificates.sign('server', 'ca', 'DNS:kubernetes.default.svc')
  certificates.sign('client', 'ca', 'DNS:client')
  const tls = {
    cert: certificates.text('server.pem'),
    key: certificates.text('server.key'),
    ca: certificates.text('ca.pem'),
  }
  const fake = await FakeApiServer.start(t, tls)
  const ca = { file: certificates.file('ca.pem') }
  const serverName = 'kubernetes.default.svc'
  await openApi(t, fake, { ca, serverName }).get('/version')
  await openApi(t, fake, { ca: { text: certificates.text('ca.pem') }, serverName }).get('/version')
  await openApi(t, fake, { insecure: true }).get('/version')
  const other = { file: certificates.file('other.pem') }
  for (const wrong of [{}, { ca: other, serverName }, { ca }])
    await t.rejects(
      openApi(t, fake, wrong).get('/version'),
      { status: 0, message: /./, next: /k8sCa/ },
      JSON.stringify(wrong),
    )

  const strict = await FakeApiServer.start(t, { ...tls, requestCert: true, rejectUnauthorized: true })
  await t.rejects(openApi(t, strict, { ca, serverName }).get('/version'), { status: 0, message: /./ })
  const clientCertificate = { file: certificates.file('client.pem') }
  const clientKey = { file: certificates.file('client.key') }
  const api = openApi(t, strict, { ca, serverName, clientCertificate, clientKey })
  await api.get('/version')
  // A pair is replaced one half after the other.
  const cert = certificates.text('client.pem')
  certificates.sign('client', 'ca', 'DNS:client')
  const renewed = certificates.text('client.pem')
  writeFileSync(certificates.file('client.pem'), cert)
  await api.get('/version')
  writeFileSync(certificates.file('client.pem'), renewed)
  await api.get('/version')
  writeFileSync(certificates.file('ca.pem'), certificates.text('other.pem'))
  await t.rejects(api.get('/version'), { status: 0, message: /./ }, 'another CA counts at once')
})

t.test('certificates that cannot be used are a matter of configuration', async t => {
  const file = join(testDirectory(t), 'ca.pem')
  for (const ca of [{ file }, { text: '-----BEGIN CERTIFICATE-----\nx\n' }]) {
    const api = openApi(t, { url: 'https://127.0.0.1:1' }, { ca })
    t.equal(await failureOf(api.get('/version')), 'CONFIG_INVALID')
  }
})

t.test('a warning becomes an event of its pod', async t => {
  const fake = await FakeApiServer.start(t)
  const warning = {
    namespace: 'a',
    pod: 'p',
    uid: 'u',
    reason: 'BadAnnotation',
    message: 'column 7',
    host: 'n1',
  }
  await warnOfPod(openApi(t, fake), warning, new Date(0))
  t.equal(fake.requests[0]?.path, apiPath(EVENTS, { namespace: 'a' }))
  t.match(fake.requests[0]?.body, {
    metadata: { namespace: 'a', name: /^p\.[0-9a-f]{16}$/ },
    involvedObject: { kind: 'Pod', namespace: 'a', name: 'p', uid: 'u' },
    type: 'Warning',
    reason: 'BadAnnotation',
    message: 'column 7',
    source: { component: 'podfence', host: 'n1' },
    firstTimestamp: '1970-01-01T00:00:00Z',
    count: 1,
  })
  const long = { ...warning, pod: `${'x'.repeat(235)}.${'y'.repeat(10)}`, message: 'm'.repeat(5_000) }
  const event = podEvent(long, new Date(0), Buffer.alloc(8)) as {
    metadata: { name: string }
    message: string
  }
  t.match(event.metadata.name, /^x{235}\.0{16}$/, 'as long as a name may be, and a name still')
  t.equal(event.message.length, 1024)
})
