import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { VERBS } from '../../src/cli/verbs.ts'
import { PodfenceError } from '../../src/errors.ts'
import type { Status } from '../../src/runtime/status.ts'
import { sampleStatus } from '../runtime/support/sample-status.ts'
import { build, built, podfence } from './support/cli.ts'
import { agentWith } from './support/fake-agent.ts'

const CASES = join(import.meta.dirname, '../cases')
const WORLD = join(import.meta.dirname, 'support/world.yaml')
const WEB = 'node1/k8s/default.web/eth0'
const CLIENT = 'node2/k8s/default.client/eth0'

t.before(build)

t.test('the built command line: each verb loads, prints and ends as it does here', async t => {
  const directory = t.testdir({ 'world.yaml': readFileSync(WORLD, 'utf8') })
  const offline = ['--from', directory]
  const commands: [string[], number][] = [
    [['version'], 0],
    [['annotation', 'allow from'], 0],
    [['annotation', 'deny'], 2],
    [['selector', 'all()'], 0],
    [['config', '--backend', 'nft'], 0],
    [['get', 'policies', '-o', 'yaml', ...offline], 0],
    [['render', '--host-name', 'node1', '--stage', 'rules', ...offline], 0],
    [['explain', '10.0.9.7', '10.0.1.1', '--exit-code', ...offline], 7],
    [['status', '--run-dir', directory], 5],
    [['apply'], 2],
    [['delete', '-o', 'json'], 2],
    [['agent', '--backend', 'none'], 2],
    [['help'], 0],
    [[], 2],
  ]
  const ends = await Promise.all(commands.map(async ([args]) => [args, await built(args)] as const))
  for (const [index, [args, ran]] of ends.entries()) {
    t.equal(ran.code, commands[index]![1], args.join(' '))
    t.same(ran, await podfence(args), args.join(' '))
  }
  t.match(await built(['annotation', '--batch'], { input: '{"annotation":"allow"}\n' }), {
    code: 0,
    out: '{"inbound_rules":[{"action":"allow"}]}\n',
  })
})

t.test('version, help, and mistakes', async t => {
  t.match(await podfence(['version']), { code: 0, out: /^podfence \d+\.\d+\.\d+\n$/, err: '' })
  t.match(JSON.parse((await podfence(['version', '-o', 'json'])).out), { schema: 1, version: String })
  const help = await podfence(['help'])
  t.match(help, { code: 0, err: '' })
  for (const { name } of VERBS) t.match(help.out, name)
  const manual = readFileSync(new URL('../../systemd/package/podfence.8', import.meta.url), 'utf8')
  for (const { name } of VERBS)
    t.match(manual, new RegExp(`^\\.It Cm (?:.* )?${name}\\b`, 'm'), `${name} in the manual`)
  t.match(await podfence(['help', 'explain']), { code: 0, out: /--exit-code/ })
  const mistakes: [string[], RegExp][] = [
    [[], /No verb was given/],
    [['agnt'], /agnt is no verb. Did you mean "agent"\?/],
    [['config', '--bakend', 'nft'], /unknown option '--bakend' \(Did you mean --backend\?\)/],
    [['explain', '10.0.0.1'], /Give a source and a destination, or --batch/],
    [['version', 'extra'], /too many arguments/],
    [['config', '-o', 'xml'], /Allowed choices are table, json/],
    [['explain', '1.1.1.1', '2.2.2.2', '--port', 'tcp/80/1', '--from', 'etcd'], /takes at most 1/],
    [['explain', '1.1.1.1', '2.2.2.2', '--port', 'tpc/80', '--from', 'etcd'], /"tpc" is no protocol/],
    [['explain', '1.1.1.1', '2.2.2.2', '--port', 'icmp/256', '--from', 'etcd'], /from 0 to 255/],
    [['status', '--wait', '--timeout', 'soon'], /--timeout must be a duration/],
    [['get', 'polices', '--from', '/'], /polices is no kind of object. Did you mean "Policy"\?/],
    [['get', 'policy', 'web', '--from', '/'], /A Policy is named TIER\/NAME, not web/],
    [['render', '--from', '/nowhere'], /there is no such directory/],
  ]
  for (const [args, message] of mistakes) {
    const { code, out, err } = await podfence(args)
    t.same([code, out], [2, ''], args.join(' '))
    t.match(err, message)
    t.match(err.split('\n')[1], /See `podfence help`/, 'and the next step')
  }
})

t.test('annotation: the documented answer, errors with their column, warnings to stderr', async t => {
  const good = await podfence([
    'annotation',
    'allow tcp from label role=backend to port 80',
    '--namespace',
    'production',
  ])
  t.same(good, {
    code: 0,
    out: '{"inbound_rules":[{"action":"allow","protocol":"tcp","src_tag":"production_role_backend","dst_ports":[80]}]}\n',
    err: '',
  })
  t.match(await podfence(['annotation', 'allow; allow udp to ports 80 81']), {
    code: 2,
    out: /^\{"error":\{"column":30,"message":".+"\}\}\n$/,
  })
  t.match(await podfence(['annotation', 'allow from']), { code: 0, err: /^column 7: / })
  t.equal((await podfence(['annotation', 'allow from', '--quiet'])).err, '')
  t.equal((await podfence(['annotation'])).code, 2)
})

/** One JSON value a line. */
function linesOf(text: string) {
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
}

t.test('annotation --batch answers each line in order and ends with 0', async t => {
  const input = [
    '{"namespace":"n","annotation":"allow tcp to ports 8000:8010"}',
    'no json',
    '{"namespace":"n","annotation":"deny"}',
    '[]',
    '{"namespace":"n"}',
    '{"annotation":"allow","namespace":"n"}',
  ].join('\n')
  const { code, out } = await podfence(['annotation', '--batch'], { input })
  const answers = linesOf(out)
  t.equal(code, 0)
  t.equal(answers.length, 6)
  t.same(answers[0], { inbound_rules: [{ action: 'allow', protocol: 'tcp', dst_ports: ['8000:8010'] }] })
  for (const index of [1, 2, 3, 4]) t.type(answers[index].error.message, 'string')
  t.equal(answers[2].error.column, 1)
  t.same(answers[5], { inbound_rules: [{ action: 'allow' }] })
})

interface SelectorCase {
  readonly selector: string
  readonly error?: true
  readonly labels?: Record<string, string>
  readonly match?: boolean
  readonly evaluations?: readonly { readonly labels: Record<string, string>; readonly match: boolean }[]
}

t.test('selector --batch agrees with every recorded case', async t => {
  const { cases } = JSON.parse(readFileSync(join(CASES, 'selectors.json'), 'utf8')) as {
    cases: SelectorCase[]
  }
  const questions = cases.flatMap(({ selector, error, labels = {}, match, evaluations }) =>
    evaluations === undefined
      ? [{ selector, labels, expected: error ? null : match! }]
      : evaluations.map(({ labels, match }) => ({ selector, labels, expected: match })),
  )
  t.ok(questions.length > 100)
  const input = questions.map(({ selector, labels }) => JSON.stringify({ selector, labels })).join('\n')
  const { code, out } = await podfence(['selector', '--batch'], { input })
  const answers = linesOf(out)
  t.equal(code, 0)
  t.equal(answers.length, questions.length)
  for (const [index, { selector, expected }] of questions.entries())
    if (expected === null) t.type(answers[index].error.message, 'string', selector)
    else t.same(answers[index], { match: expected }, selector)
})

t.test('selector: one from the command line', async t => {
  t.match(await podfence(['selector', "role == 'web'", 'role=web', 'zone=a']), {
    code: 0,
    out: '{"match":true}\n',
  })
  t.match(await podfence(['selector', "role == 'web'"]), { code: 0, out: '{"match":false}\n' })
  t.match(await podfence(['selector', 'role =']), { code: 2, out: /"column":\d+/ })
  t.match(await podfence(['selector', 'all()', 'role']), { code: 2, err: /A label is KEY=VALUE/ })
})

t.test('config: values with origins, all errors at once, JSON', async t => {
  const file = join(t.testdir({ 'agent.yaml': 'backend: legacy\nbridges: [cbr0]\n' }), 'agent.yaml')
  const env = { PODFENCE_BRIDGES: 'cbr1', PODFENCE_ETCD_PASSWORD: 'hunter2', PODFENCE_ETCD_USER: 'u' }
  const table = await podfence(['config', '--config', file, '--drop-log', '--cut', 'off'], { env })
  t.equal(table.code, 0)
  for (const row of [
    /^backend +legacy +\S+agent.yaml:1$/m,
    /^bridges +cbr1 +PODFENCE_BRIDGES$/m,
    /^dropLog +on +flag --drop-log$/m,
    /^cut +off +flag --cut$/m,
    /^etcdPassword +\*\*\* +PODFENCE_ETCD_PASSWORD$/m,
    /^markMask +0xff000000 +default$/m,
  ])
    t.match(table.out, row)
  const { settings } = JSON.parse(
    (await podfence(['config', '-o', 'json'], { env: { PODFENCE_CONFIG: file } })).out,
  )
  t.match(
    settings.find(({ name }: { name: string }) => name === 'backend'),
    { value: 'legacy', origin: 'file' },
  )
  const wrong = ['config', '--backend', 'x', '--refresh-interval', 'y']
  t.match(await podfence(wrong), { code: 2, out: '', err: /backend must be[\s\S]*refreshInterval must be/ })
  t.match(JSON.parse((await podfence([...wrong, '-o', 'json'])).out), {
    schema: 1,
    error: { code: 'CONFIG_INVALID' },
  })
  t.match(await podfence(['config', '--markdown']), {
    code: 0,
    out: /\| `etcdEndpoints` \| `PODFENCE_ETCD_ENDPOINTS`/,
  })
  t.match(await podfence(['config', '--metrics-markdown']), {
    code: 0,
    out: /\| `podfence_ipset_calls` \| counter/,
  })
})

const NOT_READY: Partial<Status> = {
  health: {
    live: { healthy: true, parts: [] },
    ready: {
      healthy: false,
      parts: [{ name: 'apply', healthy: false, reason: 'refused', since: '2026-01-01T00:00:00.000Z' }],
    },
  },
  appliedRevision: '16',
  enforcedRevision: '16',
}

t.test('status: ready, not ready, waiting, nobody there', async t => {
  let status = sampleStatus()
  const runDir = await agentWith(t, { status: () => status })
  const ready = await podfence(['status', '--run-dir', runDir])
  t.match(ready, { code: 0, err: '', out: /on node1, process 42: ready\n/ })
  t.match(ready.out, /revision +17, enforced\nendpoints +1 enforced\n/)
  t.notMatch(ready.out, WEB, 'endpoints that are well are only counted')
  t.match(
    (await podfence(['status', '--verbose', '--run-dir', runDir])).out,
    /default.web\/eth0 +cali1 +10.0.1.1 +enforced/,
  )
  t.same(JSON.parse((await podfence(['status', '-o', 'json', '--run-dir', runDir])).out), sampleStatus())

  status = sampleStatus({
    ...NOT_READY,
    rejections: [
      { key: '/calico/v1/policy/profile/x/rules', reason: 'no\u001b[2J JSON', remedy: 'Write it anew.' },
    ],
    hostEndpoints: ['node1/eth0'],
    ignoredConfig: [{ key: '/calico/v1/config/DropActionOverride', reason: 'no', warn: true }],
  })
  const trouble = await podfence(['status', '--run-dir', runDir])
  t.equal(trouble.code, 1)
  for (const line of [
    /not ready/,
    /17, enforced up to 16/,
    /unhealthy: apply since 2026-01-01T00:00:00.000Z: refused/,
    /rejected: \/calico\/v1\/policy\/profile\/x\/rules: no \[2J JSON\. Write it anew\./,
    /host endpoint node1\/eth0: NOT ENFORCED/,
    /ignored: \/calico\/v1\/config\/DropActionOverride: no/,
  ])
    t.match(trouble.out, line)
  t.notMatch(trouble.out, '\u001b', 'a store cannot move the cursor')
  const rejections = Array.from({ length: 50 }, (_, n) => ({
    key: `/k${n}`,
    reason: 'bad',
    remedy: 'Mend it.',
  }))
  status = sampleStatus({ rejections })
  const many = (await podfence(['status', '--run-dir', runDir])).out
  t.equal(many.match(/rejected:/g)?.length, 10)
  t.match(many, /and 40 more of these/)
  t.equal((await podfence(['status', '-v', '--run-dir', runDir])).out.match(/rejected:/g)?.length, 50)
  status = sampleStatus(NOT_READY)
  t.equal((await podfence(['status', '--wait', '--timeout', '300ms', '--run-dir', runDir])).code, 1)

  const waiting = podfence(['status', '--wait', '--timeout', '30s', '--run-dir', runDir])
  setTimeout(() => {
    status = sampleStatus()
  }, 300)
  t.equal((await waiting).code, 0, 'it ends as soon as the agent is ready')

  const nobody = t.testdir({ 'status.json': JSON.stringify(sampleStatus()) })
  const gone = await podfence(['status', '--run-dir', nobody])
  t.match(gone, { code: 5, out: '', err: /last wrote its status at 2026[\s\S]*No agent is running/ })
  t.match(JSON.parse((await podfence(['status', '-o', 'json', '--run-dir', nobody])).out), {
    error: { code: 'AGENT_UNREACHABLE' },
  })
})

t.test('explain and render ask the agent, and its failures end the command as its own', async t => {
  const verdict = {
    allow: false,
    by: 'end of profiles',
    egress: null,
    ingress: false,
    trail: [{ at: 'profile web', what: 'no rule' }],
  }
  const runDir = await agentWith(t, {
    explain: question => {
      if (question.source === 'x') throw new PodfenceError('USAGE', 'x is unknown.', { next: 'Look again.' })
      const packet = { family: 4, path: 'forward', ...question } as const
      return { host: 'node1', packet, verdict, revision: '17' }
    },
    render: stage => `the ${stage}\n`,
  })
  const denied = await podfence(['explain', '10.0.0.1', '10.0.0.2', '--run-dir', runDir])
  t.match(denied, { code: 0, out: /^denied by end of profiles: 10.0.0.1 to 10.0.0.2\n/ })
  t.match(denied.out, /profile web +no rule/)
  t.equal((await podfence(['explain', '10.0.0.1', '10.0.0.2', '--exit-code', '--run-dir', runDir])).code, 7)
  const icmp = ['explain', '10.0.0.1', '10.0.0.2', '-p', 'icmp/8/0', '-o', 'json', '--run-dir', runDir]
  t.match(JSON.parse((await podfence(icmp)).out), {
    allow: false,
    nodes: [{ packet: { protocol: 1, icmpType: 8, icmpCode: 0 } }],
  })
  t.same(await podfence(['explain', 'x', 'y', '--run-dir', runDir]), {
    code: 2,
    out: '',
    err: 'podfence: x is unknown.\nLook again.\n',
  })
  t.match(await podfence(['render', '--from', 'agent', '--stage', 'rules', '--run-dir', runDir]), {
    out: 'the rules\n',
  })
})

t.test('with a directory as the store: render, get, explain', async t => {
  const directory = t.testdir({ 'world.yaml': readFileSync(WORLD, 'utf8') })
  const text = await podfence(['render', '--from', directory, '--host-name', 'node1'])
  t.equal(text.code, 0)
  t.match(text.out, /^:podf-FORWARD - \[0:0\]$/m)
  t.match(text.out, /^-A podf-to -d 10\.0\.1\.1\/32 -g podf-to-/m)
  t.match(text.out, /^add podf-4-\S+ 10\.0\.2\.1$/m)
  t.match(text.out, /^-A podf-input -j DROP$/m, "the store's DefaultEndpointToHostAction")
  const rules = await podfence(['render', '--from', directory, '--host-name', 'node1', '--stage', 'rules'])
  t.match(rules.out, /allow tcp from tag:client to ports 80,8000:8010/)
  t.match(rules.out, /set tag:client\n {2}10\.0\.2\.1\n/)
  t.match(
    (await podfence(['render', '--from', directory, '--stage', 'gate'])).out,
    /-A podf-FORWARD -i cali\+ -j DROP/,
  )

  const table = await podfence(['get', '--from', directory])
  t.match(table, { code: 0, out: /^KIND +NAME +SUMMARY\n/ })
  t.match(table.out, /^Policy +k8s\/ban +order 10, 2 inbound and 1 outbound rules, selects role == 'web'$/m)
  const yaml = await podfence(['get', 'profiles', '-o', 'yaml', '--from', directory])
  t.same(yaml.out.match(/^kind: .*$/gm), ['kind: Profile', 'kind: Profile'])
  const again = t.testdir({ 'again.yaml': (await podfence(['get', '-o', 'yaml', '--from', directory])).out })
  t.equal(
    (await podfence(['get', '-o', 'yaml', '--from', again])).out,
    (await podfence(['get', '-o', 'yaml', '--from', directory])).out,
  )
  t.match(await podfence(['get', 'profile', 'web', 'nope', '--from', directory]), {
    code: 1,
    err: 'Profile nope is not there.\n',
  })

  const verdicts: [string, string, string, boolean, RegExp][] = [
    [CLIENT, WEB, 'tcp/80', true, /profile web inbound rule 1/],
    [CLIENT, WEB, 'tcp/81', false, /end of profiles/],
    [WEB, CLIENT, 'tcp/80', false, /end of profiles/],
    ['10.0.9.7', '10.0.1.1', 'tcp/80', false, /policy k8s\/ban inbound rule 1/],
    ['10.0.1.1', 'node', 'udp/53', false, /workload to node/],
    ['node', '10.0.1.1', 'tcp/22', true, /node to workload/],
    [WEB, WEB, 'tcp/1', true, /hairpin/],
    ['fd00::2', WEB, 'tcp/80', false, /end of profiles/],
  ]
  for (const [source, destination, port, allow, by] of verdicts) {
    const args = [
      'explain',
      source,
      destination,
      '--port',
      port,
      '--from',
      directory,
      '-o',
      'json',
      '--exit-code',
    ]
    const { code, out } = await podfence(args)
    t.match(
      { code, ...JSON.parse(out) },
      { code: allow ? 0 : 7, allow, by },
      `${source} ${destination} ${port}`,
    )
  }
  const both = JSON.parse((await podfence(['explain', CLIENT, WEB, '--from', directory, '-o', 'json'])).out)
  t.same(
    both.nodes.map(({ host }: { host: string }) => host),
    ['node2', 'node1'],
    'judged on both nodes',
  )
  t.match(await podfence(['explain', 'who', WEB, '--from', directory]), {
    code: 2,
    err: /who is neither an address nor/,
  })
  t.match(await podfence(['explain', 'fd00::2', CLIENT, '--from', directory]), {
    code: 2,
    err: /no address of the same family/,
  })
})
