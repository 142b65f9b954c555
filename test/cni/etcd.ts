import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { attachedBy, attachedValue, endpointKey } from '../../src/cni/etcd-endpoint.ts'
import { EtcdTree } from '../../src/cni/etcd-tree.ts'
import { decodeWorkloadEndpoint } from '../../src/model/endpoint.ts'
import { openEtcd } from '../../src/source/etcd-client.ts'
import { ConditionFailed, type Store } from '../../src/source/store.ts'
import { etcdMissing, freePorts, startEtcd } from '../etcd.ts'
import { call, RESULT } from './support/call.ts'
import { startFakeAgent } from './support/fake-agent.ts'

const skip = etcdMissing
const KEY = '/calico/v1/host/node1/workload/k8s/default.web/endpoint/eth0'
const PLACE = { host: 'node1', orchestrator: 'k8s', workload: 'default.web', endpoint: 'eth0' }
const ATTACHMENT = {
  interface: 'veth1',
  mac: '0a:00:00:00:00:01',
  addresses: ['10.1.0.5', 'fd01::5'],
  sandbox: 'c1',
  uid: null,
}

t.test('the endpoint: what the plugin knows over what is stored', async t => {
  t.equal(endpointKey('node1', 'default/web'), KEY)
  const made = (stored: string | null, more = {}) =>
    JSON.parse(attachedValue(stored, { ...ATTACHMENT, ...more }, 'pods'))
  const own = {
    state: 'active',
    name: 'veth1',
    mac: '0a:00:00:00:00:01',
    ipv4_nets: ['10.1.0.5/32'],
    ipv6_nets: ['fd01::5/128'],
    sandbox: 'c1',
    network: 'pods',
  }
  const closed = { ...own, profile_ids: ['podfence.pending'] }
  for (const stored of [null, '{', '[]', 'null', '{}']) t.same(made(stored), closed, String(stored))
  const controllers = {
    profile_ids: ['web'],
    labels: { app: 'web' },
    name: '',
    mac: 'aa:aa:aa:aa:aa:aa',
    more: 1,
  }
  t.same(made(JSON.stringify(controllers)), { ...controllers, ...own })
  t.same(made(JSON.stringify({ profile_id: 'old' })), { ...own, profile_id: 'old' })
  t.same(made('{"profile_ids":[]}').profile_ids, [], 'no profile at all is a word too')
  t.notOk('mac' in made(JSON.stringify(controllers), { mac: null }), "another's mac does not stay")
  const ofOne = JSON.stringify({ ...controllers, uid: 'u1' })
  t.match(made(ofOne, { uid: 'u1' }), { profile_ids: ['web'], labels: { app: 'web' } })
  t.same(
    made(ofOne, { uid: 'u2' }),
    { ...closed, uid: 'u2' },
    'what was said of another pod of that name is not of this one',
  )
  t.match(made(ofOne), { profile_ids: ['web'], uid: 'u1' }, 'a runtime that names no uid')
  t.match(decodeWorkloadEndpoint(made(null), PLACE), { interface: 'veth1', addresses6: ['fd01::5'] })
  t.same(attachedBy('{"sandbox":"a","network":"b"}'), { sandbox: 'a', network: 'b' })
  for (const stored of ['{', '7', '{"sandbox":"","network":3}'])
    t.same(attachedBy(stored), { sandbox: null, network: null })
})

t.test('whoever else writes at the same time, nothing of theirs is lost', async t => {
  const entry = (value: string, modRevision: bigint) =>
    ({ entry: { key: KEY, value, modRevision }, header: null }) as never
  let revision = 1n
  let labels = ''
  const commits: string[] = []
  const store: Pick<Store, 'get' | 'commit' | 'pages'> = {
    get: async () => entry(JSON.stringify({ profile_ids: ['web'], labels }), revision),
    async commit({ conditions, puts }) {
      // The controller is quicker the first two times.
      if (revision < 3n) {
        revision++
        labels = `of ${revision}`
      }
      if (conditions?.[0]?.modRevision !== revision) throw new ConditionFailed()
      commits.push(puts![0]!.value)
      return revision
    },
    pages: () => t.fail() as never,
  }
  await new EtcdTree(store, 'node1').attach('default/web', ATTACHMENT, 'pods')
  t.match(
    commits.map(text => JSON.parse(text)),
    [{ labels: 'of 3', name: 'veth1' }],
  )
  const never = {
    ...store,
    commit: async () => {
      throw new ConditionFailed()
    },
  }
  await t.rejects(new EtcdTree(never, 'node1').attach('default/web', ATTACHMENT, 'pods'), { code: 11 })
})

/** A real etcd, an agent that watches it as far as the socket goes, and calls of the plugin with both. */
async function open(t: Test) {
  const etcd = await startEtcd(t)
  const agent = await startFakeAgent(t, 'etcd')
  const store = openEtcd({ endpoints: [etcd.endpoint] })
  t.teardown(() => store.close())
  const config = { socket: agent.socket, etcd_authority: etcd.endpoint.replace('http://', '') }
  const stored = async (key = KEY) => {
    const { entry } = await store.get(key)
    return entry && JSON.parse(entry.value)
  }
  return { etcd, agent, store, config, stored }
}

t.test('ADD writes the endpoint before it asks the agent; DEL removes its own', { skip }, async t => {
  const { agent, store, config, stored } = await open(t)
  let atWait: unknown
  agent.enforced = async () => {
    atWait = await stored()
  }
  t.match(await call('ADD', config), { exitCode: 0, printed: RESULT })
  t.match(atWait, { name: 'lo', profile_ids: ['podfence.pending'], sandbox: 'c1' })
  t.same(agent.told, [], 'the agent keeps nothing itself')

  const filled = { ...(atWait as object), profile_ids: ['web'], labels: { app: 'web' } }
  await store.commit({ puts: [{ key: KEY, value: JSON.stringify(filled) }] })
  t.equal((await call('ADD', config, { CNI_CONTAINERID: 'c2' })).exitCode, 0)
  t.match(await stored(), { ...filled, sandbox: 'c2' }, 'a second sandbox keeps the policy')
  t.equal((await call('CHECK', config)).exitCode, 0)

  const done = { exitCode: 0, printed: null }
  t.match(await call('DEL', config), done)
  t.match(await stored(), { sandbox: 'c2' }, 'a late DEL of the old sandbox changes nothing')
  t.match(await call('DEL', config, { CNI_CONTAINERID: 'c2', CNI_ARGS: '' }), done, 'no pod is named')
  t.match(await call('DEL', config, { CNI_CONTAINERID: 'c2' }), done)
  t.equal(await stored(), null)
  t.match(await call('DEL', config, { CNI_CONTAINERID: 'c2' }), done, 'and again')
  await store.commit({ puts: [{ key: KEY, value: '{"name":""}' }] })
  t.match(await call('DEL', config), done)
  t.equal(await stored(), null, "nobody's endpoint goes too")
})

t.test('what the controller has written stays until the controller takes it away', { skip }, async t => {
  const { store, config, stored } = await open(t)
  await call('ADD', config)
  const labels = { app: 'web', 'podfence/namespace': 'default' }
  const filled = { ...(await stored()), profile_ids: ['web'], labels }
  await store.commit({ puts: [{ key: KEY, value: JSON.stringify(filled) }] })
  t.equal((await call('DEL', config)).exitCode, 0)
  const lost = ['10.1.0.5/32', 'fd01::5/128']
  const left = { name: '', ipv4_nets: [], ipv6_nets: [], sandbox: 'c1', lost, labels, profile_ids: ['web'] }
  t.match(await stored(), left, 'with neither interface nor address')
  t.notOk('mac' in (await stored()))
  t.equal((await call('DEL', config)).exitCode, 0)
  t.match(await stored(), left, 'and again')
  t.equal((await call('ADD', config, { CNI_CONTAINERID: 'c2' })).exitCode, 0)
  t.match(await stored(), { ...filled, sandbox: 'c2' }, 'another sandbox has its own')
  const gc = { ...config, hostname: 'node1', 'cni.dev/valid-attachments': [] }
  t.equal((await call('GC', gc)).exitCode, 0)
  t.match(await stored(), { ...left, sandbox: 'c2' })
})

t.test('without an agent: ADD writes nothing, DEL and GC do their part', { skip }, async t => {
  const { agent, config, stored } = await open(t)
  await call('ADD', config)
  await agent.stop()
  const added = await stored()
  t.match(await call('ADD', config, { CNI_CONTAINERID: 'c2' }), { exitCode: 1, printed: { code: 11 } })
  t.same(await stored(), added)
  const named = { ...config, hostname: 'node1' }
  const collect = (valid: readonly string[], name = 'pods') =>
    call('GC', { ...named, name, 'cni.dev/valid-attachments': valid.map(containerID => ({ containerID })) })
  t.equal((await collect([], 'others')).exitCode, 0)
  t.equal((await collect(['c1'])).exitCode, 0)
  t.same(await stored(), added)
  t.equal((await collect(['c2'])).exitCode, 0)
  t.equal(await stored(), null)
  await agent.start()
  await call('ADD', config)
  await agent.stop()
  t.equal((await call('DEL', named)).exitCode, 0)
  t.equal(await stored(), null)
})

t.test('an etcd that is away', { skip }, async t => {
  const agent = await startFakeAgent(t, 'etcd')
  const [port] = await freePorts(1)
  const config = { socket: agent.socket, etcd_authority: `127.0.0.1:${port}`, timeout: 2 }
  for (const command of ['ADD', 'DEL'])
    t.match(await call(command, config), { exitCode: 1, printed: { code: 11, msg: /^etcd at/ } }, command)
  t.same(agent.asked, [])
  const unreadable = { ...config, etcd_user: 'cni', etcd_password_file: '/nowhere' }
  t.match(await call('ADD', unreadable), { exitCode: 1, printed: { code: 7, msg: /etcd_password_file/ } })
})

t.test("least rights: the plugin reads and writes its own host's workloads alone", { skip }, async t => {
  const { etcd, config, store, agent } = await open(t)
  await store.commit({
    puts: [{ key: KEY.replace('node1', 'node2'), value: '{"sandbox":"c1","network":"pods"}' }],
  })
  const prefix = '/calico/v1/host/node1/workload/k8s/'
  for (const args of [
    ['user', 'add', 'root:root'],
    ['user', 'grant-role', 'root', 'root'],
    ['role', 'add', 'podfence-cni'],
    ['role', 'grant-permission', 'podfence-cni', '--prefix=true', 'readwrite', prefix],
    ['user', 'add', 'cni:secret'],
    ['user', 'grant-role', 'cni', 'podfence-cni'],
    ['auth', 'enable'],
  ])
    await etcd.ctl(...args)
  const password = join(t.testdir({}), 'password')
  writeFileSync(password, 'secret\n')
  const named = { ...config, etcd_user: 'cni', etcd_password_file: password }
  t.equal((await call('ADD', named)).exitCode, 0)
  t.equal((await call('GC', { ...named, 'cni.dev/valid-attachments': [{ containerID: 'c1' }] })).exitCode, 0)
  t.equal((await call('DEL', named)).exitCode, 0)
  t.equal((await call('ADD', named)).exitCode, 0)
  t.equal((await call('GC', { ...named, 'cni.dev/valid-attachments': [] })).exitCode, 0)
  t.match(await call('ADD', config), { exitCode: 1, printed: { code: 7, msg: /user name is empty/ } })
  await agent.stop()
  for (const command of ['DEL', 'GC'])
    t.match(
      await call(command, { ...named, hostname: 'node2', 'cni.dev/valid-attachments': [] }),
      { exitCode: 1, printed: { code: 7, msg: /permission denied/ } },
      `${command} of another host`,
    )
})
