import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { podfence } from './support/cli.ts'

/** The guestbook of Tectonic's document, with the first annotation example of Calico's, as kubectl prints it. */
const GUESTBOOK = join(import.meta.dirname, 'support/guestbook')
const REDIS = 'default/redis-master'

function directory(t: Test, files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), 'podfence-objects-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

function asked(from: string, to: string, port: number, family = 'IPv4', protocol = 'TCP'): string {
  return JSON.stringify({ from, to, family, protocol, port })
}

for (const engine of ['policy', 'rules'])
  t.test(`explain --batch answers each line in order, by ${engine}`, async t => {
    const input = [
      asked('default/frontend', REDIS, 6379),
      asked('default/frontend', REDIS, 6379, 'IPv6'),
      asked('shop/busybox', REDIS, 6379),
      asked('ext:203.0.113.9', REDIS, 6379),
      asked('node:n1', REDIS, 6379),
      asked('node:n1', 'default/frontend', 80),
      asked(REDIS, 'ext:203.0.113.9', 443, 'IPv4', 'UDP'),
      'nonsense',
      asked('default/nobody', REDIS, 6379),
      asked('shop/busybox', REDIS, 6379, 'IPv6'),
      asked('shop/busybox', REDIS, 70_000),
    ].join('\n')
    const args = ['explain', '--batch', '--from', GUESTBOOK, '--engine', engine]
    const { code, out, err } = await podfence(args, { input })
    t.equal(code, 0)
    t.match(err, /1 of kind Deployment passed over/)
    t.match(err, /no file has.*default, shop/)
    const answers = out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    const halves = answers.map(({ egress, ingress, allow }) => [egress, ingress, allow])
    t.same(halves.slice(0, 7), [
      [true, true, true],
      [true, true, true],
      [true, false, false],
      [true, false, false],
      [true, false, false],
      [true, true, true],
      [true, true, true],
    ])
    for (const { by } of answers.slice(0, 7)) t.match(by, /^\S+/)
    t.match(answers.slice(7), [
      { error: { message: /not a JSON object/ } },
      { error: { message: /default\/nobody is no place/ } },
      { error: { message: /no place with an IPv6 address/ } },
      { error: { message: /"port"/ } },
    ])
  })

t.test('annotation policy is a setting', async t => {
  const args = ['matrix', '--from', GUESTBOOK, '--port', 'tcp/80']
  t.match(
    (await podfence(args)).out,
    /TCP port 80, IPv4\n.*\n.*frontend +\. \. \.\n.*redis-master +\. \. \.\n.*busybox +\. X \.$/m,
  )
  const { out } = await podfence([...args, '--annotation-policy', 'on', '--engine', 'rules'])
  t.match(
    out,
    /frontend +\. \. X\n.*redis-master +\. \. X\n.*busybox +\. X \.$/m,
    'frontend is exposed, the rest is isolated',
  )
  const allowed = await podfence([...args, '--annotation-policy', 'on', '--default-policy', 'allow'])
  t.match(allowed.out, /frontend +\. \. \./)
  const json = JSON.parse((await podfence([...args, '-o', 'json', '--family', '6'])).out)
  t.same(json.grids[0].places, ['default/frontend', REDIS, 'shop/busybox'])
  t.same(json.grids[0].allow[2], [null, null, null], 'busybox has no IPv6 address')
})

t.test('without a port, those of the containers', async t => {
  const { out } = await podfence(['matrix', '--from', GUESTBOOK, '--ext', '203.0.113.9'])
  t.match(out, /TCP port 6379, IPv4/)
  t.match(out, /TCP port 80, IPv4/)
  t.match(out, /4 ext:203\.0\.113\.9 +\. X \. \./)
})

t.test('explain and render take a pod by its name, and a node that is not here', async t => {
  const denied = await podfence([
    'explain',
    'shop/busybox',
    REDIS,
    '--port',
    'tcp/6379',
    '--from',
    GUESTBOOK,
    '--exit-code',
  ])
  t.equal(denied.code, 7)
  t.match(denied.out, /denied by end of tier kubernetes-ingress/)
  const text = await podfence(['render', '--from', GUESTBOOK, '--host-name', 'n2'])
  t.match(text.out, /-d 10\.244\.2\.5\/32 .*-g podf-to-/)
  t.notMatch(text.out, /10\.244\.1\.5\/32 .*-g podf-to-/, "only this node's pods are dispatched")
})

t.test('what cannot be taken is named with its place', async t => {
  const policy = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: web }\n'
  const cases: [string, Record<string, string>, RegExp][] = [
    ['no objects', {}, /there are no Kubernetes objects/],
    [
      'an old version',
      { 'a.yaml': 'apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: web}' },
      /a\.yaml:1: .*must be networking/,
    ],
    ['twice', { 'a.yaml': `${policy}---\n${policy}` }, /a\.yaml:5: .*second time/],
    ['no YAML', { 'a.yaml': `${policy}spec: [` }, /a\.yaml:1: /],
    [
      'no name',
      { 'a.json': '{"apiVersion":"v1","kind":"Pod","metadata":{}}' },
      /a\.json:1: a Pod without a name/,
    ],
  ]
  for (const [title, files, message] of cases) {
    const { code, err } = await podfence(['matrix', '--from', directory(t, files)])
    t.equal(code, 2, title)
    t.match(err, message, title)
  }
})

t.test('an object that the API would refuse is closed, and told; the rest stands', async t => {
  const from = directory(t, {
    'pods.yaml': ['a', 'b']
      .map(
        (name, at) =>
          `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {app: ${name}}}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.${at + 1}}`,
      )
      .join('\n---\n'),
    'policy.yaml':
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {matchLabels: {app: a}}, ingress: [{ports: [{port: 0}]}]}',
  })
  const { out, err } = await podfence(['matrix', '--from', from, '--port', 'tcp/80'])
  t.match(err, /networkpolicies\/default\/p: .*port/)
  t.match(out, /default\/a +\. \.\n.*default\/b +X \.$/m)
})
