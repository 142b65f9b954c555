import t from 'tap'
import { hostInterface, inRange, nodeAddresses, podAddress, podMac } from '../../src/lab/address-plan.ts'
import { type Commands, netSettings, shellText } from '../../src/lab/commands.ts'
import { matrixText } from '../../src/lab/matrix.ts'
import { labNode } from '../../src/lab/node.ts'
import { foreignRoutes, type LabPod, labPod, type PodRequest } from '../../src/lab/pod.ts'
import { endpointKey, worldChanges, worldEntries } from '../../src/lab/world.ts'
import { ModelTree } from '../../src/model/tree.ts'

/** Plans need no commands. */
const commands = {} as Commands
const node = labNode({ name: 'node1' }, 1, 'nft', commands)
const pod = (name: string, more: Partial<PodRequest> = {}, number = 10): LabPod =>
  labPod({ name, node, kind: 'routed', ...more }, number, commands)
const web = pod('web')
const db = pod('db', { kind: 'bridge' }, 11)

t.test('a world is the v1 tree, and the model reads all of it', async t => {
  const entries = worldEntries({
    endpoints: [
      { pod: web, profiles: ['production'], labels: { role: 'frontend' } },
      { pod: db, profiles: ['production'], state: 'inactive', bridgeOnly: true, withoutMac: true },
    ],
    profiles: {
      production: {
        tags: ['namespace_production'],
        labels: { ns: 'production' },
        inbound: [
          { action: 'allow', protocol: 'tcp', src_tag: 'namespace_production', dst_ports: [80, '8000:8010'] },
        ],
      },
    },
    tiers: {
      k8s: {
        order: 100,
        policies: { deny: { selector: "role == 'frontend'", order: 5, inbound: [{ action: 'deny' }] } },
      },
      plain: { policies: {} },
    },
  })
  const tree = new ModelTree()
  const changes = tree.snapshot(entries)
  t.same([...tree.rejections()], [])
  t.equal(changes.length, 8)
  const endpoints = changes.filter(change => change.kind === 'workload-endpoint')
  t.match(endpoints[0], {
    id: 'node1/lab/web/eth0',
    value: {
      active: true,
      interface: web.interface,
      mac: web.mac,
      profiles: ['production'],
      addresses4: ['10.65.1.10'],
      addresses6: ['fd65:0:0:1::a'],
    },
  })
  t.match(endpoints[1], {
    value: { active: false, interface: 'cbr0', mac: null, addresses4: ['10.66.1.11'] },
  })
  t.match(
    changes.find(change => change.kind === 'profile-rules'),
    { value: { inbound: [{ action: 'allow' }], outbound: [{ action: 'allow' }] } },
  )
  t.match(
    changes.find(change => change.kind === 'policy'),
    { id: 'k8s/deny', value: { order: 5, inbound: [{ action: 'deny' }], outbound: [] } },
  )
  t.equal([...entries.keys()].at(-1), '/calico/v1/Ready')
  t.equal(entries.get('/calico/v1/Ready'), 'true')
  t.equal(entries.has(endpointKey(web)), true)
})

t.test('changes lead from one world to another', async t => {
  const before = worldEntries({ endpoints: [{ pod: web }, { pod: db }], ready: null })
  const after = worldEntries({
    endpoints: [{ pod: web, labels: { a: 'b' } }],
    raw: { '/calico/v1/zz': 'not json' },
  })
  const changes = worldChanges(before, after)
  t.same(
    changes.map(({ key, value }) => [key, value === null]),
    [
      [endpointKey(db), true],
      [endpointKey(web), false],
      ['/calico/v1/zz', false],
      ['/calico/v1/Ready', false],
    ],
  )
  const state = new Map(before)
  for (const { key, value } of changes) value === null ? state.delete(key) : state.set(key, value)
  t.strictSame(new Map([...state].sort()), new Map([...after].sort()))
  t.same(worldChanges(after, after), [])
})

t.test('a matrix for people', async t => {
  const cell = (from: string, to: string, expected: boolean, observed: boolean) => ({
    from,
    to,
    expected,
    observed,
    outcome: observed ? 'open' : 'timeout',
  })
  const cells = [
    cell('web', 'db', true, true),
    cell('db', 'web', false, false),
    cell('web', 'log', false, true),
  ]
  t.equal(
    matrixText(['web', 'db'], ['web', 'db', 'log'], cells),
    [
      'from \\ to 1 2 3',
      ' 1 web    - . !',
      ' 2 db     X - -',
      'to: 3 log',
      '2 allowed (.), 1 denied (X), 1 wrong (!)',
      '! web -> log: deny expected, observed open',
    ].join('\n'),
  )
})

t.test('names and addresses', async t => {
  const pods = Array.from({ length: 300 }, (_, number) => `some-namespace.some-pod-${number}`)
  t.equal(new Set(pods.map(name => hostInterface('cali', name))).size, 300)
  t.ok(pods.every(name => hostInterface('veth', name).length === 15))
  t.ok(pods.every(name => /^02(:[0-9a-f]{2}){5}$/.test(podMac(name))))
  t.equal(podAddress('10.65.7.0/24', 254), '10.65.7.254')
  t.equal(podAddress('fd65:0:0:7::/64', 254), 'fd65:0:0:7::fe')
  t.ok(inRange(nodeAddresses(3).gateway6, nodeAddresses(3).bridge6))
  t.notOk(inRange(nodeAddresses(3).gateway4, nodeAddresses(2).bridge4))
  t.same(foreignRoutes(web, 'replace'), [])
  t.same(foreignRoutes(pod('moved', { address4: '10.65.9.9', address6: null }), 'del'), [
    'route del 10.65.9.9/32 via 10.90.0.11',
  ])
  t.match(pod('x').linkLocal, /^fe80::[0-9a-f]{1,4}:[0-9a-f]{1,2}ff:fe[0-9a-f]{2}:[0-9a-f]{1,4}$/)
})

t.test('steps as a script', async t => {
  const text = shellText([
    { namespace: null, ip: ['link add a type dummy', 'link set a up'] },
    { namespace: 'n1', ip: [] },
    netSettings('n1', { 'ipv4/ip_forward': 1 }),
  ])
  const lines = text.trimEnd().split('\n')
  t.match(lines[0], /^ip -batch - <<'END' \|\| /)
  t.same(lines.slice(1, 4), ['link add a type dummy', 'link set a up', 'END'])
  t.equal(lines.length, 5, 'a step without lines is none')
  t.match(lines[4], '[ ! -e /proc/sys/net/ipv4/ip_forward ] || echo 1 >/proc/sys/net/ipv4/ip_forward')
})
