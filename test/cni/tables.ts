import t from 'tap'
import { type Container, commandOf, containerOf, parseArgs } from '../../src/cni/environment.ts'
import { hostInterface, linksIn } from '../../src/cni/host-interface.ts'
import { createLog, type Level } from '../../src/cni/log.ts'
import { configObject, readConfig } from '../../src/cni/network-config.ts'
import { passedOn, readResult } from '../../src/cni/result.ts'
import { mustKnow, versionOf } from '../../src/cni/version.ts'

const VARIABLES = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_ARGS:
    'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web.0;K8S_POD_INFRA_CONTAINER_ID=c1;MORE=x',
}
const CONTAINER: Container = {
  id: 'c1',
  netns: '/run/netns/c1',
  ifname: 'eth0',
  pod: 'default/web.0',
  uid: null,
}

t.test('the environment', async t => {
  t.equal(commandOf({ CNI_COMMAND: 'GC' }), 'GC')
  t.throws(() => commandOf({}), { code: 4, message: /CNI_COMMAND is not set/ })
  t.throws(() => commandOf({ CNI_COMMAND: 'add' }), { code: 4, message: /"add"/ })
  t.same(containerOf(VARIABLES, 'ADD'), CONTAINER)
  const bad: readonly (readonly [Partial<typeof VARIABLES>, RegExp])[] = [
    [{ CNI_CONTAINERID: '' }, /CNI_CONTAINERID/],
    [{ CNI_CONTAINERID: '../c1' }, /CNI_CONTAINERID/],
    [{ CNI_NETNS: '' }, /CNI_NETNS/],
    [{ CNI_IFNAME: 'a-name-too-long-' }, /CNI_IFNAME/],
    [{ CNI_IFNAME: 'a/b' }, /CNI_IFNAME/],
    [{ CNI_IFNAME: '..' }, /CNI_IFNAME/],
    [{ CNI_ARGS: '' }, /names no pod/],
    [{ CNI_ARGS: 'K8S_POD_NAMESPACE=default' }, /K8S_POD_NAME cannot be ""/],
    [{ CNI_ARGS: 'K8S_POD_NAMESPACE=a.b;K8S_POD_NAME=x' }, /K8S_POD_NAMESPACE cannot be "a.b"/],
    [{ CNI_ARGS: 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=../x' }, /K8S_POD_NAME cannot/],
    [{ CNI_ARGS: 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=x;K8S_POD_UID=../y' }, /K8S_POD_UID cannot/],
    [{ CNI_ARGS: 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=x;MORE=y' }, /MORE is unknown/],
    [{ CNI_ARGS: 'K8S_POD_NAMESPACE' }, /KEY=VALUE/],
  ]
  for (const [changed, message] of bad)
    for (const command of ['ADD', 'CHECK'] as const)
      t.throws(() => containerOf({ ...VARIABLES, ...changed }, command), { code: 4, message })
  t.equal(
    containerOf({ ...VARIABLES, CNI_ARGS: `${VARIABLES.CNI_ARGS};K8S_POD_UID=0a-b` }, 'ADD').uid,
    '0a-b',
  )
  t.equal(parseArgs('K8S_POD_NAME=a=b').get('K8S_POD_NAME'), 'a=b')

  t.test('DEL needs less', async t => {
    t.same(containerOf({ ...VARIABLES, CNI_NETNS: '' }, 'DEL'), { ...CONTAINER, netns: null })
    for (const CNI_ARGS of ['', 'nonsense', 'MORE=y'])
      t.equal(containerOf({ ...VARIABLES, CNI_ARGS }, 'DEL').pod, null, CNI_ARGS)
    t.throws(() => containerOf({ ...VARIABLES, CNI_CONTAINERID: '' }, 'DEL'), { code: 4 })
  })
})

/** As the documents of calico-docker show it, but for the main plugin and its ipam. */
const DOCUMENTED = {
  name: 'calico-k8s-network',
  type: 'podfence-cni',
  etcd_authority: '10.0.0.1:2379',
  log_level: 'info',
  policy: {
    type: 'k8s-annotations',
    k8s_api_root: 'https://10.100.0.1:443/api/v1/',
    k8s_auth_token: 'secret',
  },
}

t.test('the network configuration', async t => {
  t.same(readConfig(configObject(JSON.stringify(DOCUMENTED))), {
    name: 'calico-k8s-network',
    socket: '/run/podfence/cni.sock',
    timeout: 20_000,
    logLevel: 'info',
    hostname: null,
    annotations: true,
    etcd: { endpoints: ['10.0.0.1:2379'] },
    prevResult: undefined,
    valid: undefined,
  })
  const plain = { name: 'n' }
  t.match(readConfig(plain), { etcd: null, annotations: false, logLevel: 'warning' })
  t.match(readConfig({ ...plain, policy: {}, etcd_authority: '', log_level: '' }), {
    etcd: null,
    annotations: false,
  })
  for (const [timeout, ms] of [
    [5, 5000],
    ['7', 7000],
    ['250ms', 250],
    ['2m', 120_000],
  ])
    t.equal(readConfig({ ...plain, timeout }).timeout, ms)
  for (const [log_level, level] of Object.entries({ DEBUG: 'debug', Warn: 'warning', critical: 'error' }))
    t.equal(readConfig({ ...plain, log_level }).logLevel, level)
  t.same(
    readConfig({
      ...plain,
      etcd_authority: 'https://a:1, b:2',
      etcd_ca_cert_file: '/ca',
      etcd_cert_file: '/cert',
      etcd_key_file: '/key',
      etcd_user: 'cni',
      etcd_password_file: '/password',
    }).etcd,
    {
      endpoints: ['https://a:1', 'b:2'],
      caFile: '/ca',
      certFile: '/cert',
      keyFile: '/key',
      username: 'cni',
      passwordFile: '/password',
    },
  )
  const listed = [{ containerID: 'c1', ifname: 'eth0' }]
  for (const key of ['cni.dev/valid-attachments', 'cni.dev/attachments'])
    t.same(readConfig({ ...plain, [key]: listed }).valid, ['c1'])
  t.same(readConfig({ ...plain, 'cni.dev/valid-attachments': null }).valid, [], 'Go writes an empty list so')

  const bad: readonly (readonly [object, RegExp])[] = [
    [{ name: '' }, /^name/],
    [{ name: 'a b' }, /^name/],
    [{ policy: 'k8s' }, /^policy/],
    [{ policy: { type: 'k8s' } }, /^policy.type cannot be "k8s"/],
    [{ policy: { k8s_api_root: 1 } }, /^policy.k8s_api_root/],
    [{ etcd_authority: '10.0.0.1' }, /^etcd_authority/],
    [{ etcd_authority: 'user@host:1' }, /^etcd_authority/],
    [{ log_level: 'loud' }, /^log_level/],
    [{ socket: 'cni.sock' }, /^socket/],
    [{ timeout: 0 }, /^timeout/],
    [{ timeout: '1h' }, /^timeout/],
    [{ timeout: 601 }, /^timeout/],
    [{ hostname: 7 }, /^hostname/],
    [{ 'cni.dev/valid-attachments': {} }, /valid-attachments/],
    [{ 'cni.dev/valid-attachments': [{ ifname: 'eth0' }] }, /valid-attachments/],
  ]
  for (const [changed, message] of bad)
    t.throws(() => readConfig({ ...plain, ...changed }), { code: 7, message }, JSON.stringify(changed))
  try {
    readConfig({ ...plain, policy: { k8s_auth_token: { token: 'secret' } } })
    t.fail('refused')
  } catch (error) {
    t.notMatch((error as Error).message, /secret/, 'a token is never shown')
  }
  for (const text of ['', '{', '[]', 'null']) t.throws(() => configObject(text), { code: 6 }, text)
})

t.test('versions', async t => {
  t.equal(versionOf('0.4.0'), '0.4.0')
  for (const version of [undefined, '0.2.0', '1.2.0', 1, '']) t.throws(() => versionOf(version), { code: 1 })
  mustKnow('0.3.0', 'ADD')
  mustKnow('0.4.0', 'CHECK')
  mustKnow('1.1.0', 'GC')
  for (const [version, command] of [
    ['0.3.1', 'CHECK'],
    ['1.0.0', 'GC'],
    ['1.0.0', 'STATUS'],
  ] as const)
    t.throws(() => mustKnow(version, command), { code: 1, message: new RegExp(command) })
})

const ETH0 = { name: 'eth0', mac: '0A:00:00:00:00:01', sandbox: '/run/netns/c1' }
const BRIDGED = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'cni0', mac: '0a:00:00:00:00:02' }, { name: 'veth1' }, ETH0],
  ips: [
    { interface: 2, address: '10.1.0.5/24', gateway: '10.1.0.1' },
    { interface: 2, address: 'fd01::5/64' },
  ],
  routes: [{ dst: '0.0.0.0/0' }],
  dns: {},
}

t.test('what the plugins before have done', async t => {
  const read = (result: unknown, container = CONTAINER) => readResult(result, container)
  const expected = {
    mac: '0a:00:00:00:00:01',
    addresses: ['10.1.0.5', 'fd01::5'],
    hostInterfaces: ['cni0', 'veth1'],
  }
  t.same(read(BRIDGED), expected)
  const old = { ...BRIDGED, cniVersion: '0.3.1', ips: BRIDGED.ips.map(ip => ({ version: '4', ...ip })) }
  t.same(read(old), expected, '0.3.1 names the families')
  t.same(read({ ...BRIDGED, ips: [{ address: '10.1.0.5/24' }] }), { ...expected, addresses: ['10.1.0.5'] })
  t.same(
    read({ ...BRIDGED, ips: [...BRIDGED.ips, { interface: 1, address: '192.0.2.1/32' }] }),
    expected,
    "another interface's address is not its own",
  )
  t.same(read({ ips: [{ address: '10.1.0.5/24' }] }), {
    mac: null,
    addresses: ['10.1.0.5'],
    hostInterfaces: [],
  })
  t.same(read(BRIDGED, { ...CONTAINER, netns: '/proc/7/ns/net' }), expected, 'the namespace has two paths')
  t.throws(() => read(undefined), { code: 7, message: /chained after a main plugin/ })
  t.throws(() => read({ ...BRIDGED, ips: [] }), { code: 7, message: /no address of eth0/ })
  for (const broken of [
    null,
    [],
    { interfaces: {} },
    { interfaces: [null] },
    { interfaces: [{}] },
    { ips: [7] },
    { ips: [{ address: 'x' }] },
    { ips: [{ address: '10.1.0.5' }] },
  ])
    t.throws(() => read(broken), { code: 6, message: /prevResult/ }, JSON.stringify(broken))
})

t.test('the result is passed on in the version of the configuration', async t => {
  t.same(passedOn(BRIDGED, '1.0.0'), BRIDGED)
  const { cniVersion: _, ...bare } = BRIDGED
  t.same(passedOn(bare, '0.4.0'), { ...bare, cniVersion: '0.4.0' })
  const older = passedOn(BRIDGED, '0.4.0')
  t.match(older, { cniVersion: '0.4.0', ips: [{ version: '4' }, { version: '6' }], routes: BRIDGED.routes })
  t.same(passedOn(older, '1.1.0'), { ...BRIDGED, cniVersion: '1.1.0' })
})

t.test("the host's end of the veth", async t => {
  const links = {
    exists: (name: string) => ['cni0', 'veth1', 'veth2'].includes(name),
    isBridge: (name: string) => name === 'cni0',
  }
  const never = async (): Promise<string> => t.fail('nobody is asked') as never
  t.equal(await hostInterface(['cni0', 'veth1'], CONTAINER, links, never), 'veth1')
  t.equal(await hostInterface(['veth1'], CONTAINER, links, never), 'veth1')

  const HOST =
    '1: lo: <UP> mtu 65536\\    link/loopback\n12: veth1@if3: <UP>\\    link/ether\n13: veth2@if3: <UP>\n'
  const asked: string[] = []
  const kernel =
    (inside: string, host = HOST) =>
    async (file: string, args: readonly string[]) => {
      asked.push([file, ...args].join(' '))
      return file === 'nsenter' ? inside : host
    }
  for (const named of [[], ['cni0'], ['veth1', 'veth2'], ['gone']])
    t.equal(
      await hostInterface(named, CONTAINER, links, kernel('3: eth0@if13: <UP>\n')),
      'veth2',
      named.join(),
    )
  t.same(asked.slice(0, 2), ['nsenter --net=/run/netns/c1 ip -o link show dev eth0', 'ip -o link show'])
  for (const [inside, host] of [
    ['2: eth0@if1: <UP>\n', '1: ens3: <UP>\n'],
    ['2: eth0: <UP>\n', HOST],
    ['4: eth0@if12: <UP>\n', HOST],
    ['', HOST],
  ] as const)
    await t.rejects(
      hostInterface([], CONTAINER, links, kernel(inside, host)),
      { code: 100, message: /no other end on this node/ },
      `macvlan and others: ${inside}`,
    )
  const failing = async () => {
    throw new Error('no such file')
  }
  await t.rejects(hostInterface([], CONTAINER, links, failing), { code: 5, message: /no such file/ })
  t.same(linksIn('7: veth.a-1@if2: <>'), [{ index: 7, name: 'veth.a-1', peer: 2 }])
})

t.test('the log prints what is bad enough, in one line', async t => {
  const lines = (level: Level) => {
    const printed: string[] = []
    const log = createLog(level, 'ADD c1', line => printed.push(line))
    log('debug', 'd')
    log('info', 'i\nj')
    log('error', 'e')
    return printed.join('')
  }
  t.equal(lines('info'), 'podfence-cni info: ADD c1: i j\npodfence-cni error: ADD c1: e\n')
  t.equal(lines('none'), '')
})
