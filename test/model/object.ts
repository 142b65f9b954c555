import fc from 'fast-check'
import t from 'tap'
import { parseObjects, readObjectFile } from '../../src/model/object.ts'
import {
  OBJECT_KINDS,
  type ObjectKind,
  objectKeys,
  objectKind,
  objectMetadata,
  objectName,
  printObjectName,
} from '../../src/model/object-kind.ts'
import { printProblem } from '../../src/model/object-problem.ts'
import { printObjects, storedObjects } from '../../src/model/object-text.ts'

const EXAMPLES = `# every kind once
apiVersion: podfence/v1
kind: WorkloadEndpoint
metadata: { host: node1, orchestrator: k8s, workload: default.web, endpoint: eth0 }
spec:
  state: active
  name: cali1234
  mac: null
  profile_ids: [web]
  ipv4_nets: [10.0.0.1/32]
  labels: { role: web }
---
apiVersion: podfence/v1
kind: HostEndpoint
metadata: { host: node1, endpoint: eth0 }
spec: { name: eth0 }
---
apiVersion: podfence/v1
kind: Profile
metadata: { name: web }
spec:
  tags: [web]
  rules: { inbound_rules: [{ action: allow, protocol: tcp, dst_ports: [80, "8000:8010"] }], outbound_rules: [] }
---
apiVersion: podfence/v1
kind: Tier
metadata: { name: k8s }
spec: { order: default }
---
apiVersion: podfence/v1
kind: Policy
metadata: { tier: k8s, name: web }
spec: { selector: "role == 'web'", order: 10, inbound_rules: [{ action: next-tier }] }
---
apiVersion: podfence/v1
kind: Config
metadata: { name: IptablesMarkMask }
spec: { value: 0xff000000 }
---
apiVersion: podfence/v1
kind: Config
metadata: { host: node1, name: InterfacePrefix }
spec: { value: "cali,tap" }
`

const V1 = '/calico/v1/'
const entriesOf = (text: string) =>
  parseObjects(text, 'f').objects.flatMap(({ changes }) =>
    changes.map(({ key, value }) => [key, value] as const),
  )
const stored = (text: string) =>
  entriesOf(text).flatMap(([key, value]) => (value === null ? [] : [[key, value] as const]))

t.test('every kind becomes its keys with exactly the spec as JSON', async t => {
  const { objects, problems } = parseObjects(EXAMPLES, 'all.yaml')
  t.same(problems, [])
  t.same(
    objects.map(({ kind, metadata }) => printObjectName(kind, metadata)),
    [
      'WorkloadEndpoint node1/k8s/default.web/eth0',
      'HostEndpoint node1/eth0',
      'Profile web',
      'Tier k8s',
      'Policy k8s/web',
      'Config IptablesMarkMask',
      'Config node1/InterfacePrefix',
    ],
  )
  t.same(objects[1]?.place, { file: 'all.yaml', line: 13, column: 1 })
  t.same(entriesOf(EXAMPLES), [
    [
      `${V1}host/node1/workload/k8s/default.web/endpoint/eth0`,
      '{"state":"active","name":"cali1234","mac":null,"profile_ids":["web"],"ipv4_nets":["10.0.0.1/32"],"labels":{"role":"web"}}',
    ],
    [`${V1}host/node1/endpoint/eth0`, '{"name":"eth0"}'],
    [`${V1}policy/profile/web/tags`, '["web"]'],
    [
      `${V1}policy/profile/web/rules`,
      '{"inbound_rules":[{"action":"allow","protocol":"tcp","dst_ports":[80,"8000:8010"]}],"outbound_rules":[]}',
    ],
    [`${V1}policy/profile/web/labels`, null],
    [`${V1}policy/tier/k8s/metadata`, '{"order":"default"}'],
    [
      `${V1}policy/tier/k8s/policy/web`,
      '{"selector":"role == \'web\'","order":10,"inbound_rules":[{"action":"next-tier"}]}',
    ],
    [`${V1}config/IptablesMarkMask`, '0xff000000'],
    [`${V1}host/node1/config/InterfacePrefix`, 'cali,tap'],
  ])
  t.same(readObjectFile(EXAMPLES, 'all.yaml').entries.length, 8, 'parts that are left out are no entries')
})

const header = (kind: string, metadata: string) =>
  `apiVersion: podfence/v1\nkind: ${kind}\nmetadata: ${metadata}\n`
const POLICY = '{ tier: k8s, name: web }'
const KEY = [`${V1}policy/tier/k8s/policy/web`]

t.test(
  'what cannot be an object is a problem with its place, and with its keys where they can be told',
  async t => {
    const cases: [text: string, problem: string, keys: string[] | null][] = [
      ['just text', 'f:1:1: an object must be a mapping', null],
      ['kind: Policy', 'f:1:1: nothing is not an apiVersion', null],
      [
        `${header('Policy', POLICY).replace('v1', 'v2')}spec: {}`,
        'f:1:13: "podfence/v2" is not an apiVersion',
        KEY,
      ],
      [`${header('Pod', POLICY)}spec: {}`, 'f:2:7: "Pod" is not a kind of object', null],
      [`${header('Policy', POLICY)}`, 'f:1:1: spec must be a mapping', KEY],
      [`${header('Policy', POLICY)}spec: [1]`, 'f:4:7: spec must be a mapping', KEY],
      [`${header('Policy', POLICY)}spec: {}\nmore: 1`, 'f:5:1: "more" is not a field of an object', KEY],
      [
        `${header('Policy', '{ tier: k8s }')}spec: {}`,
        'f:3:11: metadata.name must be a text, not nothing',
        null,
      ],
      [
        `${header('Policy', '{ tier: k8s, name: 80 }')}spec: {}`,
        'f:3:30: metadata.name must be a text, not 80',
        null,
      ],
      [`${header('Policy', 'web')}spec: {}`, 'f:3:11: metadata must be a mapping', null],
      [
        `${header('Policy', '{ tier: k8s, name: web, namespace: x }')}spec: {}`,
        'f:3:35: "namespace" is not a field of metadata of Policy',
        null,
      ],
      [
        `${header('Policy', '{ tier: k8s, name: a/b }')}spec: {}`,
        'f:1:1: "k8s", "a/b" cannot stand in a key',
        null,
      ],
      [`${header('Policy', POLICY)}spec:\n  order: .inf`, 'f:5:3: Infinity cannot be stored', KEY],
      [`${header('Policy', POLICY)}spec:\n  selector: "open\n`, 'f:6:1: Missing closing "quote', KEY],
      [`${header('Policy', POLICY)}spec:\n  order: 1\n  order: 2\n`, 'f:6:3: Map keys must be unique', KEY],
      [`${header('Policy', POLICY)}spec:\n  order: !mine 1`, 'f:5:10: Unresolved tag: !mine', KEY],
      [
        `${header('Config', '{ name: A }')}spec: { value: [1] }`,
        'f:4:16: spec.value must be a text',
        [`${V1}config/A`],
      ],
      [
        `${header('Config', '{ name: A }')}spec: { other: 1 }`,
        'f:4:9: "other" is not a field of spec of Config',
        [`${V1}config/A`],
      ],
      [
        `${header('Profile', '{ name: web }')}spec: { inbound_rules: [] }`,
        'f:4:9: "inbound_rules" is not a field of spec of Profile',
        ['tags', 'rules', 'labels'].map(part => `${V1}policy/profile/web/${part}`),
      ],
    ]
    for (const [text, problem, keys] of cases) {
      const { objects, problems } = parseObjects(text, 'f')
      t.same(objects, [], text)
      t.equal(problems.length, 1, text)
      t.equal(printProblem(problems[0]!), problem)
      t.same(problems[0]!.keys, keys, text)
      t.not(problems[0]!.remedy, '')
    }
  },
)

t.test('one bad document leaves the others alone', async t => {
  const good = `${header('Tier', '{ name: k8s }')}spec: {}\n`
  for (const bad of [
    'spec: "open\n',
    'spec: [80, 443\n',
    'spec: {a: b\n',
    '- ]\n',
    '\tx\n',
    'a: b: c\n',
    '&a [*a, *b]\n',
  ]) {
    const { objects, problems } = parseObjects(`${good}---\n${bad}---\n${good}`, 'f')
    t.equal(objects.length, 2, JSON.stringify(bad))
    t.equal(problems.length, 1, JSON.stringify(bad))
    t.ok([6, 7].includes(problems[0]?.place.line ?? 0), printProblem(problems[0]!))
    t.equal(objects[1]?.place.line, 8)
  }
})

t.test('directives, comments, ends of documents and CR LF', async t => {
  const tier = `${header('Tier', '{ name: k8s }')}spec: {}\n`
  for (const text of [
    `%YAML 1.2\n# a comment\n---\n${tier}`,
    `\ufeff---\n${tier}...\n`,
    `${tier}...\n# the end\n---\n`,
    tier.replaceAll('\n', '\r\n'),
    `--- # a comment\n${tier}---\n`,
  ]) {
    const { objects, problems } = parseObjects(text, 'f')
    t.same(problems, [], JSON.stringify(text))
    t.equal(objects.length, 1, JSON.stringify(text))
  }
  const text = 'a\n ---\n---x'
  const value = JSON.stringify({ selector: text })
  t.same(entriesOf(`${header('Policy', POLICY)}spec:\n  selector: "a\\n ---\\n---x"\n`), [[KEY[0], value]])
})

t.test('nothing that is written can crash the reader', async t => {
  const bomb = `a: &a [1,1,1,1,1,1,1,1,1]\n${'bcdefghi'
    .split('')
    .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join(',')}]`)
    .join('\n')}`
  const texts = [
    '',
    '---\n---\n...\n',
    '['.repeat(100_000),
    `${header('Policy', POLICY)}spec: ${'{a: '.repeat(20_000)}`,
    `${header('Policy', POLICY)}spec:\n  ${bomb.replaceAll('\n', '\n  ')}`,
    `${header('Policy', POLICY)}spec: { __proto__: { order: 1 }, constructor: 1 }`,
    `${header('constructor', POLICY)}spec: {}`,
    '\u0000\ufeff\u2028',
  ]
  for (const text of texts) t.doesNotThrow(() => parseObjects(text, 'f'))
  t.match(entriesOf(texts[5]!), [[KEY[0], '{"__proto__":{"order":1},"constructor":1}']])
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom(...EXAMPLES.split(/(?<=[\s:{}[\],])/)))),
      parts => {
        parseObjects(parts.join(''), 'f')
        return true
      },
    ),
    { numRuns: 300 },
  )
})

t.test('check finds what the decoders refuse, at its place in the file', async t => {
  const cases: [text: string, place: string, message: RegExp][] = [
    [`${header('Policy', POLICY)}spec:\n  selector: "role ="\n`, '5:13', /^selector/],
    [
      `${header('Policy', POLICY)}spec:\n  selector: all()\n  inbound_rules:\n  - action: allow\n  - action: deny\n    dst_ports: [80, 70000]\n`,
      '9:21',
      /^inbound_rules\[1\]\.dst_ports\[1\]/,
    ],
    [`${header('Profile', '{ name: web }')}spec:\n  tags: [a, "b c"]\n`, '5:13', /"b c"/],
    [`${header('Tier', '{ name: k8s }')}spec: { order: high }`, '4:16', /high/],
  ]
  for (const [text, place, message] of cases) {
    const { objects, problems } = parseObjects(text, 'f')
    t.same(problems, [])
    const refused = objects.flatMap(object => object.check())
    t.equal(refused.length, 1, text)
    t.equal(`${refused[0]?.place.line}:${refused[0]?.place.column}`, place, text)
    t.match(refused[0]?.message, message)
    t.not(refused[0]?.remedy, '')
  }
  for (const object of parseObjects(EXAMPLES.replace('  mac: null\n', ''), 'f').objects)
    t.same(object.check(), [], printObjectName(object.kind, object.metadata))
})

t.test('what is stored prints as YAML that reads back the same', async t => {
  const entries = stored(EXAMPLES)
  const foreign = [
    [`${V1}Ready`, 'true'],
    [`${V1}ipam/v4/pool/10.0.0.0-8`, '{}'],
    [`${V1}policy/tier/a b/metadata`, '{}'],
  ] as const
  const objects = storedObjects([...foreign, ...entries.toReversed()])
  t.same(
    objects.map(({ kind, metadata }) => printObjectName(kind, metadata)),
    [
      'WorkloadEndpoint node1/k8s/default.web/eth0',
      'HostEndpoint node1/eth0',
      'Profile web',
      'Tier k8s',
      'Policy k8s/web',
      'Config IptablesMarkMask',
      'Config node1/InterfacePrefix',
    ],
  )
  t.same(stored(printObjects(objects)), entries)
  const broken = storedObjects([
    [`${V1}policy/tier/k8s/metadata`, 'not json'],
    [`${V1}policy/profile/p/tags`, '["a"]'],
    [`${V1}policy/profile/p/rules`, '{'],
  ])
  t.match(
    printObjects(broken),
    /# \/calico\/v1\/policy\/tier\/k8s\/metadata holds a value that cannot be read/,
  )
  t.match(broken, [
    { kind: 'Profile', spec: { tags: ['a'] }, unreadable: [`${V1}policy/profile/p/rules`] },
    { kind: 'Tier', spec: {}, unreadable: [`${V1}policy/tier/k8s/metadata`] },
  ])

  const json = fc.jsonValue({ maxDepth: 3 }).filter(value => !JSON.stringify(value).includes('-0'))
  const name = fc.stringMatching(/^[A-Za-z0-9_.-]{1,10}$/)
  fc.assert(
    fc.property(
      name,
      fc.dictionary(fc.string(), json, { noNullPrototype: true }),
      fc.string(),
      (id, spec, text) => {
        const values = new Map([
          [`${V1}policy/tier/${id}/policy/${id}`, JSON.stringify(spec)],
          [`${V1}policy/profile/${id}/tags`, JSON.stringify(Object.keys(spec))],
          [`${V1}config/${id}`, text],
        ])
        const again = new Map(stored(printObjects(storedObjects(values))))
        t.same([...again].sort(), [...values].sort())
      },
    ),
    { numRuns: 200 },
  )
})

t.test('names of kinds and objects', async t => {
  t.equal(objectKind('policies'), 'Policy')
  t.equal(objectKind('WORKLOADENDPOINTS'), 'WorkloadEndpoint')
  t.equal(objectKind('config'), 'Config')
  t.equal(objectKind('pod'), null)
  t.same(objectMetadata('Policy', 'k8s/web'), { tier: 'k8s', name: 'web' })
  t.same(objectMetadata('Config', 'A'), { name: 'A' })
  t.same(objectMetadata('Config', 'node1/A'), { host: 'node1', name: 'A' })
  t.equal(objectMetadata('Policy', 'web'), null)
  t.equal(objectMetadata('Tier', 'a/b'), null)
  for (const kind of Object.keys(OBJECT_KINDS) as ObjectKind[]) {
    const metadata = Object.fromEntries(OBJECT_KINDS[kind].names.map(one => [one, `x-${one}`]))
    t.same(objectMetadata(kind, objectName(kind, metadata)), metadata)
    t.ok(objectKeys(kind, metadata).length >= 1)
  }
  t.throws(() => objectKeys('Tier', { name: '../x' }), /cannot stand in a key/)
})
