import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { enterSandbox } from '../../src/lab/sandbox.ts'
import { ModelTree } from '../../src/model/tree.ts'
import { etcdMissing, startEtcd } from '../etcd.ts'
import { sampleStatus } from '../runtime/support/sample-status.ts'
import { podfence } from './support/cli.ts'
import { agentWith } from './support/fake-agent.ts'

const { skip } = await enterSandbox()
const WORLD = join(import.meta.dirname, 'support/world.yaml')

t.test('apply, get and delete with etcd', { skip: skip || etcdMissing }, async t => {
  const etcd = await startEtcd(t)
  const at = ['--etcd-endpoints', etcd.endpoint]
  const stored = async () => new Map(await etcd.ctl('get', '--prefix', '/calico', '-w', 'json').then(pairsOf))
  const dry = await podfence(['apply', '-f', WORLD, '--dry-run', ...at])
  t.match(dry, { code: 0, out: /^Policy k8s\/ban created \(dry run\)$/m })
  t.equal((await stored()).size, 0)

  t.match(await podfence(['apply', '-f', '-', ...at], { input: readFileSync(WORLD, 'utf8') }), {
    code: 0,
    out: /^Config DefaultEndpointToHostAction created\n[\s\S]*\/calico\/v1\/Ready set\n$/,
  })
  const entries = await stored()
  t.equal(entries.get('/calico/v1/Ready'), 'true')
  const tree = new ModelTree()
  tree.snapshot(entries)
  t.same([...tree.rejections()], [], 'an agent takes every key')
  t.equal(entries.get('/calico/v1/config/DefaultEndpointToHostAction'), 'DROP')

  const again = JSON.parse((await podfence(['apply', '-f', WORLD, '-o', 'json', ...at])).out)
  t.same(new Set(again.objects.map(({ outcome }: { outcome: string }) => outcome)), new Set(['unchanged']))
  t.equal(again.readyWritten, false)
  const before = await etcd.revision()
  await podfence(['apply', '-f', WORLD, ...at])
  t.equal(await etcd.revision(), before, 'what is unchanged is not written')

  const changed = readFileSync(WORLD, 'utf8').replace('order: 10', 'order: 11')
  const broken = t.testdir({
    'a.yaml': changed,
    'b.yaml': 'apiVersion: podfence/v1\nkind: Tier\nmetadata: {name: t}\nspec: {order: high}\n',
  })
  const refused = await podfence(['apply', '-f', broken, ...at])
  t.match(refused, { code: 2, out: '', err: /b\.yaml:4:\d+: order/ })
  t.equal(await etcd.revision(), before, 'one invalid object, and none is written')
  t.match(await podfence(['apply', '-f', WORLD, '-f', WORLD, ...at]), {
    code: 2,
    err: /Profile web stands in .*world.yaml:\d+ already/,
  })
  writeFileSync(join(broken, 'b.yaml'), '')
  t.match(await podfence(['apply', '-f', broken, ...at]), { code: 0, out: /^Policy k8s\/ban changed$/m })

  t.match(await podfence(['get', 'policy', 'k8s/ban', '-o', 'yaml', ...at]), { code: 0, out: /order: 11/ })
  t.match(await podfence(['explain', '10.0.9.7', '10.0.1.1', '--from', 'etcd', ...at]), {
    code: 0,
    out: /^denied by policy k8s\/ban inbound rule 1[\s\S]*on node1, revision \d+:/,
  })
  const gone = await podfence(['delete', 'policy', 'k8s/ban', 'k8s/none', ...at])
  t.same(gone, { code: 1, out: 'Policy k8s/ban deleted\nPolicy k8s/none absent\n', err: '' })
  t.notOk((await stored()).has('/calico/v1/policy/tier/k8s/policy/ban'))
  t.equal((await podfence(['delete', '-f', WORLD, '--dry-run', ...at])).code, 1)
  t.ok((await stored()).size > 1)
  await podfence(['delete', '-f', WORLD, ...at])
  t.same([...(await stored()).keys()], ['/calico/v1/Ready'], 'Ready is left alone')
  t.match(await podfence(['get', ...at]), { code: 0, out: '', err: 'There is no such object.\n' })

  await etcd.stop()
  t.match(await podfence(['get', ...at]), { code: 5, err: /^podfence: etcd at http/ })
})

/** Keys and values of etcdctl's JSON. */
function pairsOf(text: string): [string, string][] {
  const { kvs = [] } = JSON.parse(text) as { kvs?: { key: string; value?: string }[] }
  const decode = (base64 = '') => Buffer.from(base64, 'base64').toString('utf8')
  return kvs.map(({ key, value }) => [decode(key), decode(value)])
}

t.test('diags: an archive of what this host says, without the secrets', { skip }, async t => {
  const directory = t.testdir({ password: 'hunter22\n' })
  const archive = join(directory, 'diags.tar.gz')
  execFileSync('iptables-nft', [
    '-A',
    'FORWARD',
    '-m',
    'comment',
    '--comment',
    'hunter22 s3cr3t',
    '-j',
    'ACCEPT',
  ])
  const env = {
    PODFENCE_ETCD_PASSWORD_FILE: join(directory, 'password'),
    PODFENCE_ETCD_USER: 'agent',
    PODFENCE_K8S_AUTH_TOKEN: 's3cr3t',
    PODFENCE_ETCD_ENDPOINTS: 'http://127.0.0.1:1',
  }
  // A socket's path is short.
  const said = await podfence(['diags', '--file', archive, '--run-dir', '/run/none'], { env })
  execFileSync('iptables-nft', ['-F', 'FORWARD'])
  t.match(said, { code: 0, out: `${archive}\n`, err: /look through it/ })
  t.equal(statSync(archive).mode & 0o777, 0o600)
  execFileSync('tar', ['-xzf', archive, '-C', directory, '--strip-components=1'])
  const text = (name: string) => readFileSync(join(directory, `${name}.txt`), 'utf8')
  t.match(text('podfence-version'), /^\$ podfence version\npodfence \d/)
  t.match(text('podfence-check'), /"what": "etcd"/)
  t.match(text('podfence-config'), /"name": "etcdUser",\s+"value": "agent"/)
  t.match(text('podfence-status'), /No agent is running[\s\S]*exit 5/)
  t.match(text('iptables-nft-save'), /-A FORWARD -m comment --comment "\[removed\] \[removed\]" -j ACCEPT/)
  for (const name of readdirSync(directory).filter(name => name.endsWith('.txt')))
    t.notMatch(readFileSync(join(directory, name), 'utf8'), /hunter22|s3cr3t/, name)
  t.notOk(existsSync(join(directory, 'ip6tables-legacy-save.txt')), 'a legacy table is not loaded for it')
})

t.test('diags: wrong settings are told in it, and hide the secrets no less', { skip }, async t => {
  const directory = t.testdir({ password: 'pw-one\nword2\nx\n' })
  const archive = join(directory, 'diags.tar.gz')
  const runDir = await agentWith(t, { status: () => sampleStatus() })
  const config = join(directory, 'agent.yaml')
  const text = (name: string) => readFileSync(join(directory, `${name}.txt`), 'utf8')
  const archived = async (settings: string, env: Record<string, string> = {}) => {
    writeFileSync(config, settings)
    const said = await podfence(['diags', '--file', archive, '--config', config, '--run-dir', runDir], {
      env,
    })
    t.match(said, { code: 0, out: `${archive}\n` })
    execFileSync('tar', ['-xzf', archive, '-C', directory, '--strip-components=1'])
    for (const name of readdirSync(directory).filter(name => name.endsWith('.txt')))
      t.notMatch(readFileSync(join(directory, name), 'utf8'), /hunter|word2|eyJ/, `${name} of ${settings}`)
  }
  await archived('etcdPasword: x\netcdPassword: hunter22\nnodeToWorkload: hunter22\n', {
    PODFENCE_ETCD_PASSWORD: 'hunter2',
  })
  t.match(text('podfence-version'), /^\$ podfence version\npodfence \d/)
  t.match(
    text('podfence-config'),
    /agent\.yaml:1: \\"etcdPasword\\" is no setting.*not \\"\[removed\]\\"\.[\s\S]*exit 2/,
  )
  await archived('etcdPasswordFile: hunter22\n')
  t.match(text('podfence-config'), /etcdPasswordFile must be absolute path/)
  await archived('k8sAuthToken: |\n  eyJabc\n  eyJdef\n')
  t.match(text('podfence-config'), /k8sAuthToken must be token/)
  await archived('etcdPassword: *hunter22\n')
  t.match(text('podfence-config'), /agent\.yaml:1: the value names an anchor/)
  await archived('a: b\n"hunter22" "hunter23"\n')
  t.match(text('podfence-config'), /agent\.yaml:2: /)
  await archived(`etcdPassword:\netcdUser: "my word2"\netcdPasswordFile: ${directory}/password\n`)
  t.match(
    text('podfence-config'),
    /"value": "my \[removed\]"/,
    'each line of a file is a secret, nothing is none',
  )

  await archived('etcdPassword: hunter22\netcdUser: agent\n')
  t.match(
    JSON.parse(text('podfence-status').split('\n').slice(1, -2).join('\n')),
    { pid: 42 },
    'that agent is asked',
  )
  t.match(text('podfence-config'), /"value": "agent"/, 'and that file is read')
})

t.test('check and cleanup on a host of its own', { skip }, async t => {
  const files = ['--source', 'files', '--files-directory', '/']
  const check = JSON.parse((await podfence(['check', ...files, '-o', 'json'])).out)
  const found = new Map<string, { level: string; remedy: string | null }>(
    check.findings.map((finding: { what: string }) => [finding.what, finding]),
  )
  for (const what of [
    'iptables',
    'ipset',
    'CAP_NET_ADMIN',
    'kernel',
    'lock',
    'files',
    'FORWARD (IPv4)',
    'FORWARD (IPv6)',
  ])
    t.match(found.get(what), { level: 'green' }, what)
  t.match(found.get('IPv4 forwarding'), { level: 'yellow', remedy: String })
  const bridge = await podfence(['check', ...files, '--bridges', 'cbr0'])
  if (bridge.code === 3) t.match(bridge.out, /red +br_netfilter: off for IPv4 and IPv6/)
  else t.match(bridge.out, /green +br_netfilter/)
  const away = await podfence(['check', '--etcd-endpoints', 'http://127.0.0.1:1'])
  t.match(away, { code: 3, out: /red +etcd: etcd at http:\/\/127.0.0.1:1/ })

  t.match(await podfence(['cleanup']), { code: 0, out: 'nothing of podfence is here\n' })
  const runDir = await agentWith(t, { status: () => sampleStatus() })
  t.match(await podfence(['cleanup', '--run-dir', runDir]), {
    code: 2,
    err: /An agent is running \(process 42\)/,
  })
  t.equal((await podfence(['cleanup', '--run-dir', runDir, '--dry-run'])).code, 0)
})
