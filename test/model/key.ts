import fc from 'fast-check'
import t from 'tap'
import { readConfigKey } from '../../src/model/config-key.ts'
import { type ModelKey, objectId, parseKey, printKey } from '../../src/model/key.ts'
import { isReady } from '../../src/source/v1-tree.ts'

const KEYS: [text: string, key: ModelKey, id: string][] = [
  [
    '/calico/v1/config/InterfacePrefix',
    { kind: 'config', host: null, name: 'InterfacePrefix' },
    'InterfacePrefix',
  ],
  ['/calico/v1/host/n1/config/marker', { kind: 'config', host: 'n1', name: 'marker' }, 'n1/marker'],
  [
    '/calico/v1/host/n-1.x/workload/k8s/default.web_1/endpoint/eth0',
    {
      kind: 'workload-endpoint',
      host: 'n-1.x',
      orchestrator: 'k8s',
      workload: 'default.web_1',
      endpoint: 'eth0',
    },
    'n-1.x/k8s/default.web_1/eth0',
  ],
  ['/calico/v1/host/n1/endpoint/eth0', { kind: 'host-endpoint', host: 'n1', endpoint: 'eth0' }, 'n1/eth0'],
  ['/calico/v1/policy/profile/web/rules', { kind: 'profile-rules', profile: 'web' }, 'web'],
  ['/calico/v1/policy/profile/web/tags', { kind: 'profile-tags', profile: 'web' }, 'web'],
  ['/calico/v1/policy/profile/web/labels', { kind: 'profile-labels', profile: 'web' }, 'web'],
  ['/calico/v1/policy/tier/t/metadata', { kind: 'tier', tier: 't' }, 't'],
  ['/calico/v1/policy/tier/t/policy/p', { kind: 'policy', tier: 't', policy: 'p' }, 't/p'],
]

t.test('keys of the model', t => {
  for (const [text, key, id] of KEYS) {
    t.strictSame(parseKey(text), { read: 'key', key, fault: null })
    t.equal(printKey(key), text)
    if (key.kind !== 'ready') t.equal(objectId(key), id)
  }
  t.strictSame(parseKey('/calico/v1/Ready'), { read: 'key', key: { kind: 'ready' }, fault: null })
  t.equal(printKey({ kind: 'ready' }), '/calico/v1/Ready')
  t.end()
})

t.test('ready is exactly true', t => {
  t.ok(isReady('true'))
  for (const value of ['True', 'true ', '"true"', '1', '', null, undefined]) t.notOk(isReady(value))
  t.end()
})

t.test('keys of others', t => {
  for (const text of [
    ...[
      '',
      '/',
      '/calico',
      '/calico/v1',
      '/calico/v1/',
      '/calico/v1/ready',
      '/calico/v1/Ready/',
      '/calico/v2/Ready',
    ],
    ...['/calico/v1/ipam/v4/pool/10.0.0.0-8', '/calico/v1/host/n1/bird_ip', '/calico/v1/host/n1/metadata'],
    ...['/calico/v1/host', '/calico/v1/host/', '/calico/v1/config', '/calico/v1/config/a/b', '/podfence/x'],
    ...['/calico/v1/host/n1/config', '/calico/v1/host/n1/config/a/b', ' /calico/v1/Ready'],
  ])
    t.equal(parseKey(text).read, 'ignored', text)
  t.end()
})

t.test('keys that only the model may hold', t => {
  for (const text of [
    ...['/calico/v1/policy/', '/calico/v1/policy/profile/web', '/calico/v1/policy/profile/web/rule'],
    ...[
      '/calico/v1/policy/profile/web/rules/x',
      '/calico/v1/policy/tier/t',
      '/calico/v1/policy/tier/t/policy',
    ],
    ...['/calico/v1/policy/tier/t/order', '/calico/v1/policy/tier/t/metadata/x', '/calico/v1/policy/x/y/z'],
    ...['/calico/v1/host/n1/workload/k8s/web', '/calico/v1/host/n1/workload/k8s/web/endpoints/eth0'],
    ...['/calico/v1/host/n1/workload/k8s/web/endpoint/a/b', '/calico/v1/host/n1/endpoint'],
    ...['/calico/v1/host/n1/endpoint/a/b', '/calico/v1/config/a b', '/calico/v1/host/n 1/config/x'],
  ])
    t.match(parseKey(text), { read: 'refused', refusal: { reason: /\S/, remedy: /\.$/ } }, text)
  t.end()
})

t.test('names that are no ids keep their object apart', t => {
  const row = (text: string) => {
    const reading = parseKey(text)
    if (reading.read !== 'key' || reading.key.kind === 'ready') throw new Error(text)
    return [objectId(reading.key), reading.fault?.reason]
  }
  t.strictSame(row('/calico/v1/policy/tier/t/policy/a/b'), [
    't/a%002fb',
    'the key\'s part "a/b" is not an id',
  ])
  t.strictSame(row('/calico/v1/policy/tier/t/policy/'), ['t/%', 'the key\'s part "" is not an id'])
  t.strictSame(row('/calico/v1/policy/tier/my tier/policy/p'), [
    'my%0020tier/p',
    'the key\'s part "my tier" is not an id',
  ])
  t.strictSame(row('/calico/v1/host/n/workload/%/ü/endpoint/e')[0], 'n/%0025/%00fc/e')
  t.strictSame(row('/calico/v1/host/n/endpoint/\u0000')[0], 'n/%0000')
  t.strictSame(row('/calico/v1/policy/profile/a%b/tags')[0], 'a%0025b')
  t.end()
})

t.test('printing refuses what cannot be read back', t => {
  const message = /cannot stand in a key/
  t.throws(() => printKey({ kind: 'policy', tier: 't', policy: 'a/b' }), message)
  t.throws(() => printKey({ kind: 'tier', tier: '' }), message)
  t.throws(() => printKey({ kind: 'profile-tags', profile: 'a/rules' }), message)
  t.throws(() => printKey({ kind: 'config', host: 'a b', name: 'x' }), message)
  t.end()
})

t.test('any key is read, and two keys never share an object', async () => {
  const segment = fc.oneof(
    fc.constantFrom(
      'calico',
      'v1',
      'host',
      'workload',
      'endpoint',
      'policy',
      'profile',
      'tier',
      'metadata',
      'rules',
      'config',
    ),
    fc.string({ unit: 'binary', maxLength: 4 }),
    fc.constantFrom('', '%', '%0025', 'a', 'a.b', '..'),
  )
  const known = fc
    .tuple(fc.constantFrom(...KEYS.map(([text]) => text)), fc.nat(8), segment)
    .map(([text, at, part]) =>
      text
        .split('/')
        .map((own, index) => (index === at + 2 ? part : own))
        .join('/'),
    )
  const text = fc.oneof(
    known,
    fc.array(segment, { maxLength: 9 }).map(parts => `/${parts.join('/')}`),
  )
  const objects = new Map<string, string>()
  const holds = (text: string) => {
    const reading = parseKey(text)
    if (reading.read !== 'key' || reading.key.kind === 'ready') return true
    const object = `${reading.key.kind} ${objectId(reading.key)}`
    const other = objects.get(object) ?? text
    objects.set(object, text)
    if (!/^[A-Za-z0-9_.%/ -]+$/.test(object) || other !== text) return false
    return reading.fault !== null || printKey(reading.key) === text
  }
  fc.assert(fc.property(text, holds), { numRuns: 5000 })
})

t.test('config keys', t => {
  const setting = (name: string, text: string) => {
    const reading = readConfigKey(name, text)
    return reading.read === 'honoured' && reading.setting.name === name ? reading.setting.value : reading
  }
  t.strictSame(setting('InterfacePrefix', 'cali, tap,cali'), ['cali', 'tap'])
  t.equal(setting('DefaultEndpointToHostAction', 'RETURN'), 'RETURN')
  t.equal(setting('IptablesRefreshInterval', '0'), 0)
  t.equal(setting('MaxIpsetSize', '1048576'), 1048576)
  t.equal(setting('IptablesMarkMask', '0xff000000'), 0xff000000)
  t.equal(setting('IptablesMarkMask', '117440512'), 0x7000000)
  t.equal(setting('ReportingIntervalSecs', '30'), 30)
  t.equal(setting('ReportingTTLSecs', '90'), 90)
  const invalid: [name: string, text: string][] = [
    ...['', 'cali,', 'cali+', 'a b', 'a'.repeat(15)].map(
      text => ['InterfacePrefix', text] as [string, string],
    ),
    ...['drop', '', 'REJECT'].map(text => ['DefaultEndpointToHostAction', text] as [string, string]),
    ...['-1', '1.5', 'none', '', '086', '1e9', '86401'].map(
      text => ['IptablesRefreshInterval', text] as [string, string],
    ),
    ...['0', '99999999999'].map(text => ['MaxIpsetSize', text] as [string, string]),
    ...['0x3', '0x1c000', '0x', '0x100000000', '4294967296', 'ff'].map(
      text => ['IptablesMarkMask', text] as [string, string],
    ),
    ['ReportingTTLSecs', '0'],
  ]
  for (const [name, text] of invalid)
    t.match(setting(name, text), { read: 'invalid', reason: /is not/, remedy: /\.$/ }, `${name} ${text}`)
  t.match(setting('DropActionOverride', 'ACCEPT'), { read: 'ignored', warn: true })
  for (const name of ['LogFilePath', 'EndpointReportingEnabled', 'constructor'])
    t.match(setting(name, 'x'), { read: 'ignored', warn: false })
  t.end()
})
