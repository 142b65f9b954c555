import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { anonymousAccess, serverRoot } from '../../src/source/kubernetes/access.ts'
import { FreshFile } from '../../src/source/kubernetes/fresh-file.ts'
import { inClusterAccess } from '../../src/source/kubernetes/in-cluster.ts'
import { readKubeconfig } from '../../src/source/kubernetes/kubeconfig.ts'
import { testDirectory } from './support/certificates.ts'

const PEM = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n'
const DATA = Buffer.from(PEM).toString('base64')

/** A kubeconfig as `kubectl config view --raw` prints it, with these fields of the current cluster, user and context. */
function kubeconfig(
  cluster: object = {},
  user: object = {},
  context: object = {},
  more: object = {},
): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    preferences: {},
    'current-context': 'here',
    clusters: [
      { name: 'other', cluster: { server: 'https://wrong:6443' } },
      { name: 'c', cluster: { server: 'https://10.0.0.1:6443', ...cluster } },
    ],
    users: [
      { name: 'other', user: { token: 'wrong' } },
      { name: 'u', user },
    ],
    contexts: [
      { name: 'other', context: { cluster: 'other', user: 'other' } },
      { name: 'here', context: { cluster: 'c', user: 'u', ...context } },
    ],
    ...more,
  })
}

const plain = anonymousAccess('https://10.0.0.1:6443')

for (const [what, text, expected] of [
  ['nothing but a server', kubeconfig(), plain],
  ['a user that has nothing', kubeconfig({}, {}, { user: '' }), plain],
  [
    'a path in front of the API',
    kubeconfig({ server: 'https://r/k8s/c-1/' }),
    { ...plain, server: 'https://r/k8s/c-1' },
  ],
  [
    'files beside it',
    kubeconfig({ 'certificate-authority': 'ca.pem' }),
    { ...plain, ca: { file: '/etc/k/ca.pem' } },
  ],
  [
    'data before files',
    kubeconfig({ 'certificate-authority': 'ca.pem', 'certificate-authority-data': DATA }),
    { ...plain, ca: { text: PEM } },
  ],
  [
    'a client certificate',
    kubeconfig({}, { 'client-certificate': '/pki/c.pem', 'client-key-data': DATA }),
    { ...plain, clientCertificate: { file: '/pki/c.pem' }, clientKey: { text: PEM } },
  ],
  ['a token', kubeconfig({}, { token: 'abc' }), { ...plain, token: { text: 'abc' } }],
  [
    'a token file before a token',
    kubeconfig({}, { token: 'abc', tokenFile: '../t' }),
    { ...plain, token: { file: '/etc/t' } },
  ],
  [
    'a name, no check, a namespace',
    kubeconfig({ 'tls-server-name': 'api', 'insecure-skip-tls-verify': true }, {}, { namespace: 'ns' }),
    { ...plain, serverName: 'api', insecure: true, namespace: 'ns' },
  ],
  ['JSON', JSON.stringify(parsedPlain()), plain],
] as const)
  t.test(`kubeconfig: ${what}`, async t => {
    t.same(readKubeconfig(text, '/etc/k'), expected)
  })

function parsedPlain(): object {
  return {
    'current-context': 'x',
    contexts: [{ name: 'x', context: { cluster: 'c' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443' } }],
  }
}

for (const [text, message] of [
  ['a: [', /not YAML/],
  ['', /the file is not a map/],
  ['- a', /the file is not a map/],
  [kubeconfig({}, {}, {}, { 'current-context': '' }), /current-context is not set/],
  [kubeconfig({}, {}, {}, { 'current-context': 'gone' }), /context gone is not in contexts/],
  [kubeconfig({}, {}, {}, { contexts: {} }), /contexts is not a list/],
  [kubeconfig({}, {}, { cluster: '' }), /context here has no cluster/],
  [kubeconfig({}, {}, { cluster: 'gone' }), /cluster gone is not in clusters/],
  [kubeconfig({}, {}, { user: 'gone' }), /user gone is not in users/],
  [kubeconfig({ server: '' }), /the cluster has no server/],
  [kubeconfig({ server: '10.0.0.1:6443' }), /server must be of the form/],
  [kubeconfig({ 'certificate-authority-data': 'eA==' }), /certificate-authority-data is not a PEM/],
  [kubeconfig({ 'certificate-authority': 5 }), /certificate-authority is not a text/],
  [kubeconfig({ 'certificate-authority': '/ca', 'insecure-skip-tls-verify': true }), /contradict/],
  [kubeconfig({ 'proxy-url': 'http://p' }), /proxy-url is not supported/],
  [kubeconfig({}, { 'client-key': '/k' }), /needed together/],
  [kubeconfig({}, { exec: { command: 'aws' } }), /user u: exec starts a program/],
  [kubeconfig({}, { 'auth-provider': { name: 'gcp' } }), /auth-provider needs a plugin/],
  [kubeconfig({}, { username: 'a', password: 'b' }), /username is basic authentication/],
  [kubeconfig({}, { as: 'admin' }), /as is impersonation/],
] as const)
  t.test(`kubeconfig refused: ${message.source}`, async t => {
    t.throws(() => readKubeconfig(text, '/'), { message })
  })

t.test('the root of a server', async t => {
  for (const [given, root] of [
    ['https://10.100.0.1:443/api/v1/', 'https://10.100.0.1'],
    ['https://10.100.0.1:6443/api/v1', 'https://10.100.0.1:6443'],
    ['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
    ['https://[fd00::1]:6443/apis', 'https://[fd00::1]:6443'],
    ['https://rancher/k8s/clusters/c-1/api', 'https://rancher/k8s/clusters/c-1'],
    ['https://apiserver/apiary/', 'https://apiserver/apiary'],
  ] as const)
    t.equal(serverRoot(given), root)
  for (const wrong of [
    '',
    'api',
    'ftp://a',
    'https://u:p@a',
    'https://a/?x',
    'https://a/#x',
    '10.0.0.1:6443',
  ])
    t.throws(() => serverRoot(wrong), /must be of the form/, wrong)
})

t.test('in a pod', async t => {
  const dir = testDirectory(t)
  const files = { token: { file: join(dir, 'token') }, ca: { file: join(dir, 'ca.crt') } }
  const env = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
  t.same(await inClusterAccess(env, dir), { ...anonymousAccess('https://10.96.0.1:443'), ...files })
  writeFileSync(join(dir, 'namespace'), 'kube-system\n')
  t.same(await inClusterAccess({ ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' }, dir), {
    ...anonymousAccess('https://[fd00::1]:443'),
    ...files,
    namespace: 'kube-system',
  })
  t.equal(await inClusterAccess({}, dir), null)
  t.equal(await inClusterAccess({ KUBERNETES_SERVICE_HOST: '10.96.0.1' }, dir), null)
})

t.test('a file is read again when it changes, and now and then in any case', async t => {
  const path = join(testDirectory(t), 'file')
  let now = 0
  const file = new FreshFile(path, () => now)
  await t.rejects(file.read(), { code: 'ENOENT', message: /./ })
  writeFileSync(path, 'one')
  t.equal(await file.read(), 'one')
  writeFileSync(path, '')
  t.equal(await file.read(), 'one', 'about to be written')
  writeFileSync(path, 'two')
  t.equal(await file.read(), 'two')
  now += 60_000
  t.equal(await file.read(), 'two')
})
