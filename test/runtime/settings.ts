import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PodfenceError } from '../../src/errors.ts'
import { editDistance, nearest } from '../../src/runtime/nearest.ts'
import { parseProtocolNames, renderOptions } from '../../src/runtime/render-options.ts'
import type { FileEntry } from '../../src/runtime/setting-layers.ts'
import {
  flagOf,
  SETTING_NAMES,
  type SettingName,
  settingOf,
  variableOf,
} from '../../src/runtime/setting-table.ts'
import { reloadSettings, resolveSettings, type SettingSources } from '../../src/runtime/settings.ts'
import { readSettingsFile, settingsPath } from '../../src/runtime/settings-file.ts'
import { settingRows, settingsMarkdown } from '../../src/runtime/settings-text.ts'

interface Given {
  readonly flags?: Partial<Record<SettingName, string>>
  readonly env?: Record<string, string>
  readonly file?: readonly FileEntry[]
  readonly store?: Record<string, string>
}

function sources({ flags = {}, env = {}, file, store = {} }: Given): SettingSources {
  return {
    flags: new Map(Object.entries(flags)) as SettingSources['flags'],
    env,
    file: file === undefined ? null : { path: 'agent.yaml', entries: file },
    store: new Map(Object.entries(store)),
    host: { hostname: 'node1' },
  }
}

function line(name: string, raw: unknown, at = 1): FileEntry {
  return { name, raw, line: at }
}

/** The lines of the error that these sources give. */
function errorsOf(given: Given): string[] {
  try {
    resolveSettings(sources(given))
  } catch (error) {
    if (error instanceof PodfenceError && error.code === 'CONFIG_INVALID') return error.message.split('\n')
    throw error
  }
  return []
}

t.test('flag over variable over file over store over default, and each value knows its origin', t => {
  const all: Given = {
    flags: { interfacePrefixes: 'flag' },
    env: { PODFENCE_INTERFACE_PREFIXES: 'env' },
    file: [line('interfacePrefixes', ['file'], 7)],
    store: { InterfacePrefix: 'store', 'node1/InterfacePrefix': 'mine', 'node2/InterfacePrefix': 'other' },
  }
  const expected = [
    ['flag', { kind: 'flag', where: '--interface-prefixes' }],
    ['env', { kind: 'environment', where: 'PODFENCE_INTERFACE_PREFIXES' }],
    ['file', { kind: 'file', where: 'agent.yaml:7' }],
    ['mine', { kind: 'store', where: '/calico/v1/host/node1/config/InterfacePrefix' }],
    ['store', { kind: 'store', where: '/calico/v1/config/InterfacePrefix' }],
    ['cali', { kind: 'default', where: 'default' }],
  ] as const
  const { flags, env, file, store } = all
  const cluster = { InterfacePrefix: store!.InterfacePrefix! }
  const steps: Given[] = [
    all,
    { env: env!, file: file!, store: store! },
    { file: file!, store: store! },
    { store: store! },
  ]
  for (const [index, given] of [...steps, { store: cluster }, {}].entries()) {
    const { settings, origins } = resolveSettings(sources(given))
    const [value, origin] = expected[index]!
    t.same(settings.interfacePrefixes, [value])
    t.same(origins.interfacePrefixes, origin)
  }
  t.equal(flags!.interfacePrefixes, 'flag')
  t.end()
})

t.test('every default is what its own kind reads', t => {
  const { settings } = resolveSettings(sources({}))
  for (const name of SETTING_NAMES) {
    const { kind } = settingOf(name)
    t.same(kind.parse(kind.print(settings[name])), settings[name], name)
  }
  t.equal(settings.hostName, 'node1')
  t.end()
})

t.test('values of each kind', t => {
  const good: [SettingName, unknown, unknown][] = [
    ['backend', 'LEGACY', 'legacy'],
    ['bridges', ' cbr0 , br1,cbr0', ['cbr0', 'br1']],
    ['bridges', ['cbr0'], ['cbr0']],
    ['bridges', '', []],
    ['dropLog', true, true],
    ['cut', 'no', false],
    ['dropLogGroup', 0, 0],
    ['refreshInterval', 90, 90_000],
    ['refreshInterval', '1.5s', 1500],
    ['refreshInterval', '250ms', 250],
    ['refreshInterval', '2h', 7_200_000],
    ['refreshInterval', '0', 0],
    ['markMask', '0xff0000', 0xff0000],
    ['markMask', 0xff000000, 0xff000000],
    ['healthAddress', '[::1]:0', { host: '::1', port: 0 }],
    ['healthAddress', 'off', null],
    ['healthAddress', false, null],
    ['filesDirectory', null, null],
    ['etcdEndpoints', 'https://a:2379/,b:2379', ['https://a:2379', 'b:2379']],
  ]
  for (const [name, raw, value] of good)
    t.same(settingOf(name).kind.parse(raw), value, `${name} ${String(raw)}`)
  const bad: [SettingName, unknown, RegExp][] = [
    ['backend', 'nftables', /must be one of auto, nft, legacy, not "nftables"/],
    ['bridges', 'a b', /must be interface name/],
    ['bridges', 'x'.repeat(16), /must be interface name/],
    ['bridges', [['a']], /single value/],
    ['interfacePrefixes', 'x'.repeat(15), /must be interface name prefix/],
    ['cut', 'maybe', /on or off/],
    ['dropLogGroup', '65536', /from 0 to 65535/],
    ['dropLogGroup', '01', /whole number/],
    ['dropLogGroup', '-1', /whole number/],
    ['refreshInterval', '5 min', /such as 500ms/],
    ['refreshInterval', '25h', /from 0s to 24h/],
    ['cutTimeout', '1s', /from 10s to 1h/],
    ['markMask', '0x7', /^$/],
    ['markMask', '0x3000000', /at least three bits, and 0x3000000 has 2/],
    ['markMask', '0xff00', /kube-proxy/],
    ['markMask', '0x1ffffffff', /must be a mask/],
    ['healthAddress', '9099', /HOST:PORT/],
    ['healthAddress', '127.0.0.1:65536', /HOST:PORT/],
    ['healthAddress', '::1:9099', /HOST:PORT/],
    ['runDir', 'run', /absolute path/],
    ['runDir', '/a\nb', /absolute path/],
    ['hostName', null, /has no value/],
    ['etcdEndpoints', 'https://root:secret@a', /must not carry a user/],
    ['etcdEndpoints', 'ftp://a', /must be a URL/],
    ['etcdEndpoints', 'https://a/path', /must be a URL/],
  ]
  for (const [name, raw, message] of bad) {
    if (message.source === '^$') t.equal(settingOf(name).kind.parse(raw), 7, 'three bits are enough')
    else t.throws(() => settingOf(name).kind.parse(raw), { message }, `${name} ${String(raw)}`)
  }
  t.end()
})

t.test('all errors come together, each with its place', t => {
  const errors = errorsOf({
    flags: { backend: 'foo' },
    env: { PODFENCE_CUT: 'maybe', PODFENCE_BAKEND: 'nft' },
    file: [line('etcdEndpoint', 'x', 3), line('dropLogGroup', 'x', 4), line('hostName', {}, 5)],
  })
  t.same(errors.sort(), [
    '--backend: backend must be one of auto, nft, legacy, not "foo".',
    'PODFENCE_CUT: cut must be on or off, not "maybe".',
    'The variable PODFENCE_BAKEND is no setting. Did you mean "PODFENCE_BACKEND"?',
    'agent.yaml:3: "etcdEndpoint" is no setting. Did you mean "etcdEndpoints"?',
    'agent.yaml:4: dropLogGroup must be a whole number from 0 to 65535, not "x".',
    'agent.yaml:5: hostName must be a single value, not a list or a map.',
  ])
  t.end()
})

t.test('an error in a layer that is overruled is an error all the same', t => {
  t.same(errorsOf({ flags: { backend: 'nft' }, file: [line('backend', 'x', 2)] }), [
    'agent.yaml:2: backend must be one of auto, nft, legacy, not "x".',
  ])
  t.end()
})

t.test("variables that resemble no setting are let be: Kubernetes' and others'", t => {
  const env = {
    PODFENCE_SERVICE_HOST: '10.0.0.1',
    PODFENCE_SERVICE_PORT_METRICS: '9091',
    PODFENCE_PORT: 'tcp://10.0.0.1:9091',
    PODFENCE_PORT_9091_TCP_ADDR: '10.0.0.1',
    PODFENCE_E2E: 'full',
    PODFENCE_CONFIG: '/x',
    OTHER: '1',
  }
  t.same(errorsOf({ env }), [])
  t.end()
})

t.test('what cannot be meant together is told', t => {
  const cases: [Given, RegExp][] = [
    [{ flags: { source: 'files' } }, /filesDirectory is not set/],
    [{ flags: { etcdEndpoints: '' } }, /etcdEndpoints is empty/],
    [{ flags: { etcdCert: '/a' } }, /belong together/],
    [{ flags: { etcdUser: 'a' } }, /belong together/],
    [{ env: { PODFENCE_ETCD_PASSWORD: 'a' } }, /belong together/],
    [
      { env: { PODFENCE_ETCD_PASSWORD: 'a' }, flags: { etcdUser: 'u', etcdPasswordFile: '/a' } },
      /one is enough/,
    ],
    [{ flags: { interfacePrefixes: '' } }, /no workload could be recognised/],
    [{ flags: { bridges: 'calibr0' } }, /starts with the interface prefix cali/],
    [{ flags: { statusTtl: '30s' } }, /must be longer/],
  ]
  for (const [given, expected] of cases) t.match(errorsOf(given).join('\n'), expected)
  t.same(errorsOf({ flags: { statusInterval: '0', statusTtl: '1s' } }), [])
  t.end()
})

t.test("the store's keys: honoured, ignored, and never an error", t => {
  const { settings, ignored } = resolveSettings(
    sources({
      store: {
        DefaultEndpointToHostAction: 'DROP',
        'node1/DefaultEndpointToHostAction': 'RETURN',
        IptablesRefreshInterval: '45',
        MaxIpsetSize: '4096',
        IptablesMarkMask: '0x0f000000',
        ReportingIntervalSecs: '100',
        ReportingTTLSecs: '300',
        DropActionOverride: 'ACCEPT',
        LogSeverityScreen: 'info',
        InterfacePrefix: 'way too long for one',
      },
    }),
  )
  t.match(settings, {
    workloadToNode: 'allow',
    refreshInterval: 45_000,
    maxSetSize: 4096,
    markMask: 0x0f000000,
    statusInterval: 100_000,
    statusTtl: 300_000,
    interfacePrefixes: ['cali'],
  })
  t.match(ignored.map(({ key, warn }) => [key, warn]).sort(), [
    ['/calico/v1/config/DropActionOverride', true],
    ['/calico/v1/config/InterfacePrefix', true],
    ['/calico/v1/config/LogSeverityScreen', false],
  ])
  t.end()
})

t.test('a text of the store that cannot be read closes, or leaves what was good before', t => {
  const bad = sources({ store: { DefaultEndpointToHostAction: 'DORP', MaxIpsetSize: 'many' } })
  t.match(resolveSettings(bad).settings, { workloadToNode: 'drop', maxSetSize: 1_048_576 })
  const before = resolveSettings(
    sources({ store: { DefaultEndpointToHostAction: 'ACCEPT', MaxIpsetSize: '99' } }),
  )
  t.match(resolveSettings(bad, before).settings, { workloadToNode: 'allow', maxSetSize: 99 })
  const named = resolveSettings(
    sources({ flags: { workloadToNode: 'allow' }, store: { DefaultEndpointToHostAction: 'x' } }),
  )
  t.equal(named.settings.workloadToNode, 'allow', 'what is set nearer holds')
  t.end()
})

t.test("a store's value that contradicts the others is left out alone", t => {
  const { settings, ignored } = resolveSettings(
    sources({
      flags: { bridges: 'cbr0' },
      store: { InterfacePrefix: 'cbr', ReportingIntervalSecs: '200', DefaultEndpointToHostAction: 'DROP' },
    }),
  )
  t.match(settings, { interfacePrefixes: ['cali'], statusInterval: 30_000, workloadToNode: 'drop' })
  t.same(ignored.map(({ key }) => key).sort(), [
    '/calico/v1/config/InterfacePrefix',
    '/calico/v1/config/ReportingIntervalSecs',
  ])
  t.end()
})

t.test('reload takes live settings and names those that need a restart', t => {
  const { settings: running } = resolveSettings(sources({}))
  const { settings: next } = resolveSettings(
    sources({ flags: { logLevel: 'debug', backend: 'nft', bridges: 'cbr0' } }),
  )
  const reload = reloadSettings(running, next)
  t.same(reload.applied, ['logLevel'])
  t.same(reload.needRestart, ['bridges', 'backend'])
  t.match(reload.settings, { logLevel: 'debug', backend: 'auto' })
  t.same(reloadSettings(running, running), { settings: running, applied: [], needRestart: [] })
  t.end()
})

t.test('names make flags and variables; a secret has no flag and is never shown', t => {
  t.equal(flagOf('etcdEndpoints'), '--etcd-endpoints')
  t.equal(variableOf('etcdEndpoints'), 'PODFENCE_ETCD_ENDPOINTS')
  t.equal(flagOf('etcdPassword'), null)
  const resolved = resolveSettings(
    sources({ flags: { etcdUser: 'u' }, env: { PODFENCE_ETCD_PASSWORD: 'hunter2' } }),
  )
  t.equal(resolved.settings.etcdPassword, 'hunter2')
  t.notMatch(JSON.stringify(settingRows(resolved)), 'hunter2')
  t.match(
    settingRows(resolved).find(({ name }) => name === 'etcdPassword'),
    { value: '***' },
  )
  t.end()
})

t.test('the table for the README has a row for each setting', t => {
  const rows = settingsMarkdown().split('\n')
  t.equal(rows.length, SETTING_NAMES.length + 2)
  t.ok(rows.every(row => row.replaceAll('\\|', '').split('|').length === 7))
  t.end()
})

t.test('the file: lines, nothing, not there, not YAML', async t => {
  const directory = t.testdir()
  const path = join(directory, 'agent.yaml')
  const read = (text: string) => {
    writeFileSync(path, text)
    return readSettingsFile({ path, named: true })
  }
  t.same((await read('# first\nbackend: nft\nbridges:\n  - cbr0\ncut: off\n'))!.entries, [
    { name: 'backend', raw: 'nft', line: 2 },
    { name: 'bridges', raw: ['cbr0'], line: 3 },
    { name: 'cut', raw: 'off', line: 5 },
  ])
  t.same((await read('# nothing\n'))!.entries, [])
  await t.rejects(read('- backend\n'), { code: 'CONFIG_INVALID', message: /must be a map/ })
  await t.rejects(read('backend: nft\nbackend: legacy\n'), { message: /agent.yaml:2: .*unique/ })
  await t.rejects(read('a: [\n'), { code: 'CONFIG_INVALID' })
  const absent = join(directory, 'absent.yaml')
  t.equal(await readSettingsFile({ path: absent, named: false }), null)
  await t.rejects(readSettingsFile({ path: absent, named: true }), { message: /does not exist/ })
  t.same(settingsPath(undefined, {}), { path: '/etc/podfence/agent.yaml', named: false })
  t.same(settingsPath(undefined, { PODFENCE_CONFIG: '/b' }), { path: '/b', named: true })
  t.same(settingsPath('/a', { PODFENCE_CONFIG: '/b' }), { path: '/a', named: true })
})

t.test('render options', t => {
  const { settings } = resolveSettings(sources({ flags: { dropLog: 'on', cutTimeout: '2m' } }))
  const options = renderOptions(settings, { bridgeFilter: false, protocolNames: new Map() })
  t.match(options, {
    dropLog: { enabled: true, group: 100, perSecond: 10 },
    cutTimeout: 120,
    bridgeFilter: false,
  })
  const names = parseProtocolNames('# x\nicmp\t1\tICMP # internet\nother 1\nipv6-icmp 58\nbad\n')
  t.same(
    [...names],
    [
      [1, 'icmp'],
      [58, 'ipv6-icmp'],
    ],
  )
  t.end()
})

t.test('edit distance', t => {
  const cases: [string, string, number][] = [
    ['', '', 0],
    ['abc', 'abc', 0],
    ['ABC', 'abc', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['ca', 'ac', 1],
    ['backend', 'bakcend', 1],
  ]
  for (const [a, b, distance] of cases) {
    t.equal(editDistance(a, b), distance, `${a} ${b}`)
    t.equal(editDistance(b, a), distance)
  }
  t.equal(nearest('zzz', ['backend', 'cut']), null)
  t.equal(nearest('cur', ['backend', 'cut']), 'cut')
  t.end()
})
