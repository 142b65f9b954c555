import t from 'tap'
import type { TranslationOptions } from '../../../src/model/kubernetes/translation.ts'
import type { KeyChange } from '../../../src/source/event.ts'
import { ANNOTATED, Cluster, PLAIN } from './support/cluster.ts'
import { gone, namespace, pod, policy } from './support/objects.ts'

/** Annotation, NetworkPolicy and default together: what each alone says, and who wins where two say something. */

const KEY = 'projectcalico.org/policy'
const WEB = '10.0.0.1'
const FRIEND = '10.0.0.2'
const STRANGER = '10.0.1.1'
const SYSTEM = '10.0.2.1'
const OUTSIDE = '192.0.2.1'

const web = (annotation: string | null, key = KEY) =>
  pod('x/web', {
    ips: [WEB],
    labels: { app: 'web' },
    annotations: annotation === null ? {} : { [key]: annotation },
    ports: { 'tcp.http': 80 },
  })

/** The web pod with its annotation, a friend in its namespace, and a stranger in another. */
function world(options: TranslationOptions, annotation: string | null, ...more: readonly KeyChange[]) {
  return new Cluster(
    options,
    namespace('x'),
    namespace('y'),
    namespace('kube-system'),
    web(annotation),
    pod('x/friend', { ips: [FRIEND], labels: { role: 'friend' } }),
    pod('y/stranger', { ips: [STRANGER], labels: { role: 'friend' }, node: 'n2' }),
    pod('kube-system/dns', { ips: [SYSTEM], annotations: { [KEY]: 'allow tcp to port 1' } }),
    ...more,
  )
}

/** Who reaches the web pod: f(riend), s(tranger), o(utside), on TCP 80 and on TCP 81. */
function reach(cluster: Cluster, to = WEB): string {
  const peers = { f: FRIEND, s: STRANGER, o: OUTSIDE }
  const on = (port: number) =>
    Object.entries(peers)
      .filter(([, address]) => cluster.passes(address, to, `tcp/${port}`))
      .map(([letter]) => letter)
      .join('')
  return `${on(80)}/${on(81)}`
}

const ADD: TranslationOptions = { ...ANNOTATED, annotationCombine: 'add' }
const OPEN: TranslationOptions = { ...ANNOTATED, defaultPolicy: 'allow' }

const PORT_80 = 'allow tcp to ports 80'
const FROM_FRIENDS = 'allow from label role=friend'
const FROM_OUTSIDE = 'allow from cidr 192.0.2.0/24'
const BAD = 'allow tcp to prots 80'

const PORT_81_FROM_ALL = policy('x/port-81', { ingress: [{ ports: [{ port: 81 }] }] })
const ALL_FROM_FRIENDS = policy('x/friends', {
  podSelector: { matchLabels: { app: 'web' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { role: 'friend' } } }] }],
})
const OPEN_EGRESS = policy('x/egress', { policyTypes: ['Egress'], egress: [{}] })
const DENY_ALL = policy('x/deny', { policyTypes: ['Ingress', 'Egress'] })

type Line = [
  name: string,
  options: TranslationOptions,
  annotation: string | null,
  policies: string,
  reach: string,
]
const POLICIES: Readonly<Record<string, ReturnType<typeof policy>>> = {
  'port 81': PORT_81_FROM_ALL,
  friends: ALL_FROM_FRIENDS,
  egress: OPEN_EGRESS,
  deny: DENY_ALL,
}

const LINES: readonly Line[] = [
  ['switched off: everything', PLAIN, null, '', 'fso/fso'],
  ['switched off: an annotation means nothing', PLAIN, PORT_80, '', 'fso/fso'],
  ['switched off: not even a bad one', PLAIN, BAD, '', 'fso/fso'],
  ['switched off: NetworkPolicy decides', PLAIN, PORT_80, 'friends', 'f/f'],
  ['the default: the own namespace', ANNOTATED, null, '', 'f/f'],
  ['the default: everything', OPEN, null, '', 'fso/fso'],
  ['an annotation replaces the isolation', ANNOTATED, PORT_80, '', 'fso/'],
  ['an annotation replaces an open default', OPEN, PORT_80, '', 'fso/'],
  ['a label means pods of the own namespace', ANNOTATED, FROM_FRIENDS, '', 'f/f'],
  ['a network', ANNOTATED, FROM_OUTSIDE, '', 'o/o'],
  ['two rules', ANNOTATED, `${FROM_OUTSIDE}; ${PORT_80}`, '', 'fso/o'],
  ['a bad annotation closes', ANNOTATED, BAD, '', '/'],
  ['so does an empty one', ANNOTATED, '', '', '/'],
  ['also where the default is open', OPEN, BAD, '', '/'],
  ['one bad rule closes all', ANNOTATED, `${PORT_80}; ${BAD}`, '', '/'],
  ['deny is refused and never an allow', ANNOTATED, 'deny tcp to ports 80', '', '/'],

  ['NetworkPolicy decides where it isolates', ANNOTATED, null, 'friends', 'f/f'],
  ['and is not added to the default', ANNOTATED, null, 'port 81', '/fso'],
  ['narrow: both must allow', ANNOTATED, PORT_80, 'friends', 'f/'],
  ['narrow: what neither shares is closed', ANNOTATED, PORT_80, 'port 81', '/'],
  ['narrow: policies add up first', ANNOTATED, FROM_FRIENDS, 'friends, port 81', 'f/f'],
  ['narrow: an annotation opens nothing', ANNOTATED, 'allow', 'friends', 'f/f'],
  ['narrow: nor what is denied', ANNOTATED, 'allow', 'deny', '/'],
  ['an egress policy changes nothing for ingress', ANNOTATED, PORT_80, 'egress', 'fso/'],
  ['nor for the default', ANNOTATED, null, 'egress', 'f/f'],
  ['an egress policy beside one for ingress', ANNOTATED, PORT_80, 'egress, friends', 'f/'],
  ['a bad annotation closes whatever else there is', ANNOTATED, BAD, 'friends, port 81, egress', '/'],

  ['add: either', ADD, PORT_80, 'friends', 'fso/f'],
  ['add: any policy, also behind another', ADD, PORT_80, 'friends, port 81', 'fso/fso'],
  ['add: to nothing at all', ADD, PORT_80, 'deny', 'so/'],
  ['add: with a policy for egress', ADD, PORT_80, 'egress', 'fso/'],
  ['add: without an annotation', ADD, null, 'friends', 'f/f'],
  ['add: without anything', ADD, null, '', 'f/f'],
  ['add: a bad annotation closes', ADD, BAD, 'friends, port 81, egress', '/'],
]

t.test('who may come in', async t => {
  for (const [name, options, annotation, names, expected] of LINES)
    for (const profiles of ['shared', 'per-pod'] as const) {
      const policies = names === '' ? [] : names.split(', ').map(each => POLICIES[each]!)
      const cluster = world({ ...options, profiles }, annotation, ...policies)
      t.equal(reach(cluster), expected, `${name}, ${profiles}`)
      t.ok(
        cluster.passes(WEB, OUTSIDE) === !names.includes('deny'),
        `${name}: egress is no matter of annotations`,
      )
      t.equal(cluster.model.rejections().size, 0)
    }
})

t.test('every step from one line to another is what the other is from the start', async t => {
  for (const options of [ANNOTATED, ADD, OPEN]) {
    const cluster = world(options, null)
    const lines = LINES.filter(line => line[1] === options)
    for (const [name, , annotation, names, expected] of [...lines, ...lines.slice().reverse()]) {
      const wanted = names.split(', ')
      const changes = Object.entries(POLICIES).map(([each, object]) =>
        wanted.includes(each) ? object : gone(object),
      )
      cluster.apply(web(annotation), ...changes)
      t.equal(reach(cluster), expected, name)
    }
  }
})

t.test('in kube-system everything comes in, annotations mean nothing, NetworkPolicy applies', async t => {
  const cluster = world(ANNOTATED, null)
  t.equal(reach(cluster, SYSTEM), 'fso/fso')
  t.match(cluster.problem('pods/kube-system/dns'), { reason: /kube-system/, effect: /ignored/ })
  cluster.apply(policy('kube-system/p', { ingress: [{ ports: [{ port: 81 }] }] }))
  t.equal(reach(cluster, SYSTEM), '/fso')
  cluster.apply(pod('kube-system/dns', { ips: [SYSTEM], annotations: { [KEY]: BAD } }))
  t.equal(reach(cluster, SYSTEM), '/fso', 'not even a bad one')
  t.match(cluster.problem('pods/kube-system/dns'), { effect: /ignored/ })
  cluster.apply(pod('kube-system/dns', { ips: [SYSTEM] }))
  t.equal(cluster.problem('pods/kube-system/dns'), undefined)
})

t.test('the older key is read where the newer one is absent', async t => {
  const cluster = world(ANNOTATED, null, web(PORT_80, 'policy'))
  t.equal(reach(cluster), 'fso/')
  cluster.apply(pod('x/web', { ips: [WEB], annotations: { policy: PORT_80, [KEY]: FROM_OUTSIDE } }))
  t.equal(reach(cluster), 'o/o')
  cluster.apply(pod('x/web', { ips: [WEB], annotations: { policy: PORT_80, [KEY]: BAD } }))
  t.equal(reach(cluster), '/', 'a bad newer one is not passed over')
  cluster.apply(pod('x/web', { ips: [WEB], annotations: { policy: PORT_80, [KEY]: '' } }))
  t.equal(reach(cluster), '/', 'nor an empty one')
  cluster.apply(pod('x/web', { ips: [WEB], annotations: { other: PORT_80 } }))
  t.equal(reach(cluster), 'f/f')
})

t.test('a bad annotation is told with its column, counted in characters', async t => {
  const cluster = world(ANNOTATED, BAD)
  t.match(cluster.problem('pods/x/web'), {
    key: '/kubernetes/pods/x/web',
    column: 14,
    reason: /^the annotation is refused: .*prots/,
    effect: 'no inbound traffic',
  })
  const told = cluster.problem('pods/x/web')
  cluster.apply(pod('x/web', { ips: [WEB], annotations: { [KEY]: BAD } }))
  t.equal(cluster.problem('pods/x/web'), told, 'a problem that stays is not told anew')
  cluster.apply(web('allow; 🦊🦊 allow'))
  t.match(cluster.problem('pods/x/web'), { column: 8 })
  cluster.apply(web(`${PORT_80};allow udp\tto 80`))
  t.match(cluster.problem('pods/x/web'), { column: 36 })
  cluster.apply(web(PORT_80))
  t.equal(cluster.problem('pods/x/web'), undefined)
  cluster.apply(web(BAD))
  cluster.apply(gone(web(BAD)))
  t.equal(cluster.translation.problems().has('/kubernetes/pods/x/web'), false)
})

t.test('an annotation is live, and so are the labels it asks for', async t => {
  const cluster = world(ANNOTATED, FROM_FRIENDS)
  t.equal(reach(cluster), 'f/f')
  cluster.apply(pod('x/friend', { ips: [FRIEND], labels: { role: 'foe' } }))
  t.equal(reach(cluster), '/')
  cluster.apply(pod('x/friend', { ips: [FRIEND], labels: { role: 'friend' } }))
  t.equal(reach(cluster), 'f/f')
  cluster.apply(web(PORT_80))
  t.equal(reach(cluster), 'fso/')
  cluster.apply(web(null))
  t.equal(reach(cluster), 'f/f')
})

t.test('labels that escape to one tag are two labels', async t => {
  const cluster = world(
    ANNOTATED,
    'allow from label a/b=c',
    pod('x/friend', { ips: [FRIEND], labels: { a_b: 'c' } }),
  )
  t.equal(reach(cluster), '/')
  cluster.apply(pod('x/friend', { ips: [FRIEND], labels: { 'a/b': 'c' } }))
  t.equal(reach(cluster), 'f/f')
})

t.test('all that a rule can say', async t => {
  const text = 'allow udp from ports 1000:2000 label a=b cidr 10.0.0.0/8 to ports 53,54 label podfence/c=d'
  const cluster = world(ANNOTATED, `${text}; allow icmp type 8 code 0; allow tcp to label e=f`)
  const id = (cluster.endpoint('x/web') as { profile_ids: string[] }).profile_ids[0]!
  t.match(id, /^x\.[0-9a-f]{32}$/)
  t.same(cluster.at(`policy/profile/${id}/rules`), {
    inbound_rules: [
      {
        action: 'allow',
        protocol: 'udp',
        src_net: '10.0.0.0/8',
        src_ports: ['1000:2000'],
        dst_ports: [53, 54],
        src_selector: "podfence/namespace == 'x' && a == 'b'",
        dst_selector: "podfence/namespace == 'x' && podfence/pod/podfence/c == 'd'",
      },
      { action: 'allow', protocol: 'icmp', icmp_type: 8, icmp_code: 0 },
      { action: 'allow', protocol: 'tcp', dst_selector: "podfence/namespace == 'x' && e == 'f'" },
    ],
    outbound_rules: [{ action: 'allow' }],
  })
  t.equal(cluster.at(`policy/profile/${id}/tags`), undefined)
})

t.test('profiles are shared by what they say, and gone with the last pod', async t => {
  const cluster = world(ANNOTATED, PORT_80)
  const profiles = () =>
    [...cluster.tree.keys()]
      .filter(key => key.endsWith('/rules'))
      .map(key => key.split('/').at(-2)!.split('.')[0])
  t.same(profiles().sort(), ['kube-system', 'x', 'x', 'y'])
  const twin = pod('x/twin', { ips: ['10.0.0.3'], annotations: { policy: PORT_80 } })
  cluster.apply(twin)
  t.same(profiles().sort(), ['kube-system', 'x', 'x', 'y'])
  cluster.apply(web(null))
  t.same(profiles().sort(), ['kube-system', 'x', 'x', 'y'])
  cluster.apply(gone(twin))
  t.same(profiles().sort(), ['kube-system', 'x', 'y'])
  t.match(cluster.at('policy/profile/x/labels'), { 'podfence/ns/kubernetes.io/metadata.name': 'x' })
})

t.test("each pod's own profile has the tags of the documents", async t => {
  const backend = (labels: Record<string, string>) => pod('production/pod1', { ips: [WEB], labels })
  const cluster = new Cluster(
    { ...ANNOTATED, profiles: 'per-pod' },
    namespace('production', { env: 'live' }),
    backend({ role: 'backend' }),
  )
  const part = (name: string) => cluster.at(`policy/profile/production_pod1/${name}`)
  t.match(cluster.endpoint('production/pod1'), { profile_ids: ['production_pod1'] })
  t.same(part('tags'), ['production_pod1', 'namespace_production', 'production_role_backend'])
  t.match(part('labels'), { 'podfence/ns/env': 'live' })
  t.match(part('rules'), { inbound_rules: [{ src_selector: "podfence/namespace == 'production'" }] })
  cluster.apply(backend({ role: 'frontend', 'my/key': 'a_b' }))
  t.same(part('tags'), [
    'production_pod1',
    'namespace_production',
    'production_my_key_a__b',
    'production_role_frontend',
  ])
  cluster.apply(gone(backend({})))
  t.same(part('tags'), undefined)
  t.same(part('rules'), undefined)
  t.same(part('labels'), undefined)
})

t.test('an annotation that is no text closes its pod', async t => {
  for (const annotations of [{ [KEY]: 80 }, { policy: ['allow'] }, 'allow']) {
    const metadata = { annotations }
    const cluster = world(ANNOTATED, null, gone(web(null)), pod('x/web', { ips: [WEB], metadata }))
    t.equal(reach(cluster), 'fso/fso', "its address is nobody's here, so nothing of this node judges it")
    t.notOk(cluster.owns(WEB), 'no endpoint has the address')
    t.equal(cluster.model.rejections().size, 1, 'its endpoint is refused')
    t.match(cluster.problem('pods/x/web'), { reason: /annotations/, effect: 'the pod gets no traffic' })
  }
})
