import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { kubernetesOptions } from '../../src/runtime/kubernetes-options.ts'
import { anonymousAccess } from '../../src/source/kubernetes/access.ts'
import { SERVICE_ACCOUNT } from '../../src/source/kubernetes/in-cluster.ts'

const dir = mkdtempSync(join(tmpdir(), 'podfence-options-'))
t.teardown(() => rmSync(dir, { recursive: true, force: true }))
const kubeconfig = join(dir, 'config')
writeFileSync(
  kubeconfig,
  `current-context: x
contexts: [{name: x, context: {cluster: c, user: u, namespace: ns}}]
clusters: [{name: c, cluster: {server: https://from-kubeconfig, insecure-skip-tls-verify: true}}]
users: [{name: u, user: {tokenFile: token}}]
`,
)
const broken = join(dir, 'broken')
writeFileSync(broken, 'current-context: x\ncontexts: []\n')

const NOTHING = {
  kubeconfig: null,
  k8sApiRoot: null,
  k8sAuthToken: null,
  k8sAuthTokenFile: null,
  k8sCa: null,
}
const POD = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
const fromKubeconfig = {
  ...anonymousAccess('https://from-kubeconfig'),
  token: { file: join(dir, 'token') },
  insecure: true,
  namespace: 'ns',
}
const fromPod = {
  ...anonymousAccess('https://10.96.0.1:443'),
  token: { file: `${SERVICE_ACCOUNT}/token` },
  ca: { file: `${SERVICE_ACCOUNT}/ca.crt` },
}
const k8sApiRoot = 'https://10.100.0.1:443/api/v1/'
const fromRoot = anonymousAccess('https://10.100.0.1')

for (const [what, settings, env, expected] of [
  ['the kubeconfig before everything', { kubeconfig, k8sApiRoot }, POD, fromKubeconfig],
  ['then the API root', { k8sApiRoot }, POD, fromRoot],
  ['then the pod', {}, POD, fromPod],
  [
    'a token of the older settings',
    { k8sApiRoot, k8sAuthToken: 'abc' },
    {},
    { ...fromRoot, token: { text: 'abc' } },
  ],
  [
    'a token file and a CA',
    { k8sApiRoot, k8sAuthTokenFile: '/t', k8sCa: '/ca' },
    {},
    { ...fromRoot, token: { file: '/t' }, ca: { file: '/ca' } },
  ],
  [
    'set by themselves, over what the kubeconfig has',
    { kubeconfig, k8sAuthToken: 'abc', k8sCa: '/ca' },
    {},
    { ...fromKubeconfig, token: { text: 'abc' }, ca: { file: '/ca' }, insecure: false },
  ],
] as const)
  t.test(what, async t => {
    t.match(await kubernetesOptions({ ...NOTHING, ...settings }, env), expected)
  })

for (const [what, settings, message] of [
  ['nothing', {}, /set kubeconfig or k8sApiRoot/],
  ['a file that is not there', { kubeconfig: join(dir, 'gone') }, /kubeconfig .*gone: ENOENT/],
  ['a file that is wrong', { kubeconfig: broken }, /kubeconfig .*broken: context x is not in contexts\./],
  ['a root that is no URL', { k8sApiRoot: 'https://' }, /k8sApiRoot must be/],
] as const)
  t.test(`refused: ${what}`, async t => {
    await t.rejects(kubernetesOptions({ ...NOTHING, ...settings }, {}), { code: 'CONFIG_INVALID', message })
  })
