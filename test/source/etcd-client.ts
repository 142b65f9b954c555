import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { PodfenceError } from '../../src/errors.ts'
import { openEtcd } from '../../src/source/etcd-client.ts'
import { explainEtcdError } from '../../src/source/etcd-errors.ts'
import { checkedEndpoints, type EtcdOptions } from '../../src/source/etcd-settings.ts'
import { EtcdSource } from '../../src/source/etcd-source.ts'
import { ConditionFailed, HistoryGone, LeaseGone } from '../../src/source/store.ts'
import { etcdMissing, freePorts, startEtcd } from '../etcd.ts'
import { Heard } from './heard.ts'

const skip = etcdMissing
t.setTimeout(120_000)

function open(t: Test, options: EtcdOptions) {
  const store = openEtcd({ dialTimeoutMs: 2_000, requestTimeoutMs: 2_000, ...options })
  t.teardown(() => store.close())
  return store
}

/** The error's code, and what was thrown when it is none of ours. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => 'no error',
    error => (error instanceof PodfenceError ? error.code : error),
  )
}

t.test('endpoints', async t => {
  const ok = (options: EtcdOptions) => checkedEndpoints(options)
  t.same(ok({ endpoints: ['10.0.0.1:2379'] }), ['http://10.0.0.1:2379'])
  t.same(ok({ endpoints: ['10.0.0.1'], caFile: '/ca' }), ['https://10.0.0.1:2379'])
  t.same(ok({ endpoints: ['https://etcd:443/', 'https://[fd00::1]:80'] }), [
    'https://etcd:443',
    'https://[fd00::1]:80',
  ])
  const bad: EtcdOptions[] = [
    { endpoints: [] },
    { endpoints: ['ftp://a:1'] },
    { endpoints: ['http://a:1/path'] },
    { endpoints: ['http://user@a:1'] },
    { endpoints: ['http://a:99999'] },
    { endpoints: ['http://a:1', 'https://b:1'] },
    { endpoints: ['http://a:1'], caFile: '/ca' },
    { endpoints: ['https://a:1'], certFile: '/cert' },
  ]
  for (const options of bad) t.throws(() => ok(options), { code: 'CONFIG_INVALID' }, JSON.stringify(options))
  const missing = open(t, { endpoints: ['https://a:1'], caFile: '/nowhere/ca.pem' })
  t.equal(await codeOf(missing.get('/a')), 'CONFIG_INVALID')
})

t.test('errors are explained', async t => {
  const of = (message: string) => explainEtcdError(new Error(message), 'e')
  t.match(of('7 PERMISSION_DENIED: etcdserver: permission denied'), {
    code: 'STORE_DENIED',
    message: 'etcd at e: permission denied',
  })
  t.match(of('3 INVALID_ARGUMENT: etcdserver: user name is empty'), { code: 'STORE_DENIED' })
  t.match(of('14 UNAVAILABLE: No connection established'), { code: 'STORE_UNREACHABLE' })
  t.match(of('8 RESOURCE_EXHAUSTED: etcdserver: mvcc: database space exceeded'), {
    next: /compact and defragment/,
  })
  t.ok(of('11 OUT_OF_RANGE: etcdserver: mvcc: required revision has been compacted') instanceof HistoryGone)
  t.ok(of('5 NOT_FOUND: etcdserver: requested lease not found') instanceof LeaseGone)
})

t.test('nobody there: an error of ours, and no hang', async t => {
  const [port] = await freePorts(1)
  const store = open(t, { endpoints: [`http://127.0.0.1:${port}`] })
  t.equal(await codeOf(store.get('/a')), 'STORE_UNREACHABLE')
  t.equal(await codeOf(store.commit({ puts: [{ key: '/a', value: '1' }] })), 'STORE_UNREACHABLE')
  store.close()
  t.equal(await codeOf(store.get('/a')), 'STORE_UNREACHABLE')
})

t.test('somebody there who never answers: the time limits hold', async t => {
  const sockets: Socket[] = []
  const server = createServer(socket => void sockets.push(socket.on('error', () => undefined)))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  const store = open(t, {
    endpoints: [`http://127.0.0.1:${port}`],
    dialTimeoutMs: 300,
    requestTimeoutMs: 300,
  })
  t.equal(await codeOf(store.get('/a')), 'STORE_UNREACHABLE')
  const watch = store.watch('/a', 1n, () => undefined, new AbortController().signal)
  t.equal(await codeOf(watch), 'STORE_UNREACHABLE')
})

t.test('several endpoints: the dead ones are passed over, for writes too', { skip }, async t => {
  const etcd = await startEtcd(t)
  const [dead] = await freePorts(1)
  const store = open(t, { endpoints: [`http://127.0.0.1:${dead}`, etcd.endpoint] })
  await store.commit({ puts: [{ key: '/calico/v1/a', value: '1' }] })
  t.equal((await store.get('/calico/v1/a')).entry?.value, '1')
  const again = open(t, { endpoints: [`http://127.0.0.1:${dead}`, etcd.endpoint] })
  const heard = new Heard(new EtcdSource(again))
  t.teardown(() => heard.stop())
  await heard.until(() => heard.entries.size === 1)
})

t.test('transactions, old revisions and leases', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, { endpoints: [etcd.endpoint] })
  const puts = ['/p/a', '/p/b', '/q/a'].map(key => ({ key, value: '1' }))
  const first = await store.commit({ puts })
  const second = await store.commit({
    deletePrefixes: ['/p/'],
    deletes: ['/q/a'],
    puts: [{ key: '/r', value: 'é' }],
  })
  t.equal(second, first + 1n, 'one transaction is one revision')
  t.equal(await store.count('/p/', first), 2)
  t.equal(await store.count('/p/', second), 0)
  t.match(await store.get('/r'), {
    entry: { value: 'é', version: 1n, modRevision: second, createRevision: second },
  })
  t.equal((await store.get('/q/a', first)).entry?.value, '1')
  t.equal((await store.get('/q/a')).entry, null)
  t.ok((await codeOf(store.get('/r', second + 100n))) instanceof HistoryGone, 'a future revision')
  await etcd.ctl('compact', String(second))
  t.ok((await codeOf(store.get('/q/a', first))) instanceof HistoryGone, 'a compacted revision')

  const lease = await store.grantLease(60)
  await store.commit({ puts: [{ key: '/leased', value: '1', lease }] })
  await store.keepLease(lease)
  await etcd.ctl('lease', 'revoke', BigInt(lease).toString(16))
  t.equal((await store.get('/leased')).entry, null)
  t.ok((await codeOf(store.keepLease(lease))) instanceof LeaseGone)
  t.ok((await codeOf(store.commit({ puts: [{ key: '/x', value: '1', lease }] }))) instanceof LeaseGone)
})

t.test('a transaction whose conditions do not hold writes nothing', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, { endpoints: [etcd.endpoint] })
  const made = await store.commit({
    conditions: [{ key: '/a', modRevision: 0n }],
    puts: [{ key: '/a', value: 'made' }],
  })
  const refused = [
    { conditions: [{ key: '/a', modRevision: 0n }], puts: [{ key: '/a', value: 'made again' }] },
    { conditions: [{ key: '/a', modRevision: made - 1n }], deletes: ['/a'] },
    {
      conditions: [
        { key: '/a', modRevision: made },
        { key: '/b', modRevision: 1n },
      ],
      deletes: ['/a'],
    },
  ]
  for (const write of refused) t.ok((await codeOf(store.commit(write))) instanceof ConditionFailed)
  t.equal((await store.get('/a')).entry?.value, 'made')
  await store.commit({ conditions: [{ key: '/a', modRevision: made }], deletes: ['/a'] })
  t.equal((await store.get('/a')).entry, null)
})

t.test('a watch tells why it ended', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, { endpoints: [etcd.endpoint] })
  for (const value of ['1', '2', '3']) await etcd.put('/a', value)
  await etcd.ctl('compact', String(await etcd.revision()))
  const signal = new AbortController().signal
  t.match(await store.watch('/a', 2n, () => undefined, signal), /compacted/)
  const stop = new AbortController()
  t.equal(await store.watch('/a', 100n, response => response.created && stop.abort(), stop.signal), 'stopped')
  t.equal(await store.watch('/a', 100n, () => undefined, AbortSignal.abort()), 'stopped')
  t.equal((await store.get('/a')).entry?.value, '3', 'the connection is still good')
})

t.test('a password where authentication is off is left out', { skip }, async t => {
  const etcd = await startEtcd(t)
  const store = open(t, { endpoints: [etcd.endpoint], username: 'agent', password: 'secret' })
  await store.commit({ puts: [{ key: '/a', value: '1' }] })
  t.equal((await store.get('/a')).entry?.value, '1')

  await t.test('and used again when authentication is switched on', async t => {
    for (const args of [
      ['user', 'add', 'root:root'],
      ['user', 'grant-role', 'root', 'root'],
      ['user', 'add', 'agent:secret'],
      ['user', 'grant-role', 'agent', 'root'],
      ['auth', 'enable'],
    ])
      await etcd.ctl(...args)
    t.equal(await codeOf(store.get('/a')), 'STORE_DENIED', 'the client without a password is given up')
    t.equal((await store.get('/a')).entry?.value, '1')
  })
})

t.test('least rights: the agent reads the tree and writes only the status of its host', { skip }, async t => {
  const etcd = await startEtcd(t)
  const root = ['--user', 'root:root']
  await etcd.put('/calico/v1/Ready', 'true')
  await etcd.put('/other/secret', 'x')
  for (const args of [
    ['user', 'add', 'root:root'],
    ['user', 'grant-role', 'root', 'root'],
    ['role', 'add', 'agent'],
    ['role', 'grant-permission', 'agent', '--prefix=true', 'read', '/calico/v1/'],
    ['role', 'grant-permission', 'agent', '--prefix=true', 'write', '/calico/felix/v1/host/node1/'],
    ['user', 'add', 'agent:secret'],
    ['user', 'grant-role', 'agent', 'agent'],
    ['auth', 'enable'],
  ])
    await etcd.ctl(...args)
  const agent = { endpoints: [etcd.endpoint], username: 'agent', password: 'secret' }
  const store = open(t, agent)
  const heard = new Heard(new EtcdSource(store))
  t.teardown(() => heard.stop())
  await heard.until(() => heard.snapshots === 1)
  t.equal(heard.entries.get('/calico/v1/Ready'), 'true')

  const write = (key: string) => codeOf(store.commit({ puts: [{ key, value: '{}' }] }))
  t.equal(await write('/calico/felix/v1/host/node1/status'), 'no error')
  t.equal(
    await codeOf(store.commit({ deletePrefixes: ['/calico/felix/v1/host/node1/workload/'] })),
    'no error',
  )
  for (const key of [
    '/calico/felix/v1/host/node2/status',
    '/calico/felix/v1/host/node10/status',
    '/calico/v1/Ready',
    '/calico/v1/policy/tier/k8s/policy/web',
    '/calico/v1/host/node1/workload/k8s/a/endpoint/eth0',
    '/calico/v1/config/InterfacePrefix',
  ])
    t.equal(await write(key), 'STORE_DENIED', key)
  t.equal(await codeOf(store.get('/other/secret')), 'STORE_DENIED')

  // A restarted etcd has forgotten every token; the watch must find a new one by itself.
  await etcd.restart()
  await etcd.ctl(...root, 'put', '/calico/v1/a', '1')
  await heard.until(() => heard.entries.has('/calico/v1/a'))
  t.equal(heard.snapshots, 1, 'no new listing was needed')

  const stranger = open(t, { ...agent, password: 'wrong' })
  t.equal(await codeOf(stranger.get('/calico/v1/Ready')), 'STORE_DENIED')
  t.equal(await codeOf(open(t, { endpoints: [etcd.endpoint] }).get('/calico/v1/Ready')), 'STORE_DENIED')

  // The right to read is taken away, then given back.
  await etcd.ctl(...root, 'role', 'revoke-permission', 'agent', '--prefix=true', '/calico/v1/')
  await etcd.restart()
  await heard.until(() => heard.connections.at(-1)?.reason.includes('permission denied') === true)
  await etcd.ctl(...root, 'role', 'grant-permission', 'agent', '--prefix=true', 'read', '/calico/v1/')
  await etcd.ctl(...root, 'put', '/calico/v1/b', '1')
  await heard.until(() => heard.entries.has('/calico/v1/b'))
})

t.test('TLS with client certificates, read again after they were renewed', { skip }, async t => {
  const pki = certificates(t)
  const etcd = await startEtcd(t, {
    tls: {
      ca: pki.ca,
      cert: pki.file('server.pem'),
      key: pki.file('server.key'),
      clientCert: pki.file('client.pem'),
      clientKey: pki.file('client.key'),
    },
  })
  await etcd.put('/calico/v1/a', '1')
  const options = {
    endpoints: [etcd.endpoint],
    caFile: pki.ca,
    certFile: pki.file('client.pem'),
    keyFile: pki.file('client.key'),
  }
  t.equal((await open(t, options).get('/calico/v1/a')).entry?.value, '1')
  const { certFile: _, keyFile: __, ...anonymous } = options
  t.equal(await codeOf(open(t, anonymous).get('/calico/v1/a')), 'STORE_UNREACHABLE')
  t.equal(await codeOf(open(t, { endpoints: options.endpoints }).get('/calico/v1/a')), 'STORE_UNREACHABLE')
  t.equal(
    await codeOf(open(t, { endpoints: [etcd.endpoint.replace('https', 'http')] }).get('/calico/v1/a')),
    'STORE_UNREACHABLE',
  )
  // Another authority's certificate under the same name, then the right one again.
  const good = readFileSync(options.certFile)
  const goodKey = readFileSync(options.keyFile)
  writeFileSync(options.certFile, readFileSync(pki.file('stranger.pem')))
  writeFileSync(options.keyFile, readFileSync(pki.file('stranger.key')))
  const store = open(t, options)
  t.equal(await codeOf(store.get('/calico/v1/a')), 'STORE_UNREACHABLE')
  writeFileSync(options.certFile, good)
  writeFileSync(options.keyFile, goodKey)
  t.equal((await store.get('/calico/v1/a')).entry?.value, '1')
})

/** A private authority with a server's and a client's certificate, and a stranger's of no authority. */
function certificates(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'podfence-pki-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = (name: string) => join(dir, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const selfSigned = (name: string) =>
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      `/CN=${name}`,
      '-days',
      '2',
    )
  selfSigned('ca')
  selfSigned('stranger')
  for (const name of ['server', 'client']) {
    writeFileSync(file('ext'), `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n`)
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    openssl(
      ...['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'],
      ...['-out', `${name}.pem`, '-extfile', 'ext', '-days', '2'],
    )
  }
  return { ca: file('ca.pem'), file }
}
