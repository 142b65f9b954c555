import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { compileAnnotation } from '../../src/model/annotation.ts'
import { parseJson } from '../../src/model/json.ts'
import { decodeProfileRules } from '../../src/model/profile.ts'
import { labelTag, namespaceTag, podTag } from '../../src/model/tag.ts'

interface Case {
  readonly id: string
  readonly namespace: string
  readonly input: string
  readonly expect: { readonly accept: boolean; readonly rule?: object }
}

function readCases<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`../cases/${name}`, import.meta.url), 'utf8'))
}

const { cases } = readCases<{ cases: Case[] }>('annotation-rule.json')

const compile = (text: string, namespace = 'default') => {
  const compiled = compileAnnotation(text, namespace)
  return 'rules' in compiled ? compiled.rules : compiled.error
}
const warnings = (text: string) => {
  const compiled = compileAnnotation(text, 'default')
  return 'rules' in compiled ? compiled.parsed.warnings : compiled.error
}

/** Where the design's table speaks against the record: the rule it wants, or null for a refusal. */
const DESIGN: Record<string, { readonly why: string; readonly rule: object | null }> = {
  'anno-029': {
    why: 'port ranges are accepted',
    rule: { action: 'allow', protocol: 'tcp', dst_ports: ['80:90'] },
  },
  'anno-039': { why: 'no leading zeros', rule: null },
  'anno-065': { why: 'no short forms of an address', rule: null },
  'anno-069': { why: 'no host masks', rule: null },
  'anno-096': {
    why: 'ICMP numbers are numbers',
    rule: { action: 'allow', protocol: 'icmp', icmp_type: 8, icmp_code: 0 },
  },
  'anno-108': { why: 'ICMP numbers are numbers', rule: { action: 'allow', protocol: 'icmp', icmp_type: 0 } },
  'anno-116': { why: 'deny is refused', rule: null },
  'anno-118': { why: 'deny is refused', rule: null },
  'anno-122': { why: 'deny is refused', rule: null },
  'anno-181': { why: 'no sign', rule: null },
}

t.test('recorded cases', t => {
  t.equal(cases.length, 91)
  for (const { id, namespace, input, expect } of cases) {
    const design = DESIGN[id]
    const rule = design ? design.rule : expect.accept ? expect.rule! : null
    const name = `${id} ${input} ${design?.why ?? ''}`
    const compiled = compile(input, namespace)
    if (rule === null) t.hasProps(compiled, ['column', 'message'], name)
    else t.strictSame(compiled, [rule], name)
    // An override that says what the record says would hide that it is no longer needed.
    if (design)
      t.strictNotSame(design.rule, expect.accept ? expect.rule : null, `${id} differs from the record`)
  }
  t.strictSame(
    Object.keys(DESIGN).filter(id => !cases.some(one => one.id === id)),
    [],
  )
  t.end()
})

t.test('the documents', t => {
  t.strictSame(compile('allow tcp to port 80; allow udp to port 80'), [
    { action: 'allow', protocol: 'tcp', dst_ports: [80] },
    { action: 'allow', protocol: 'udp', dst_ports: [80] },
  ])
  t.strictSame(compile('allow tcp from label access=backend to port 4001'), [
    { action: 'allow', protocol: 'tcp', src_tag: 'default_access_backend', dst_ports: [4001] },
  ])
  t.strictSame(compile('allow from label tier=frontend'), [
    { action: 'allow', src_tag: 'default_tier_frontend' },
  ])
  t.strictSame(compile('allow tcp from label role=backend to ports 80', 'production'), [
    { action: 'allow', protocol: 'tcp', src_tag: 'production_role_backend', dst_ports: [80] },
  ])
  t.strictSame(compile('allow from label role=backend; allow tcp to ports 4001,443'), [
    { action: 'allow', src_tag: 'default_role_backend' },
    { action: 'allow', protocol: 'tcp', dst_ports: [4001, 443] },
  ])
  t.strictSame(
    compile('allow tcp from ports 1,2:4 label a=b cidr 1.2.3.4 to port 3 label c=d cidr 5.6.7.8/24'),
    [
      {
        action: 'allow',
        protocol: 'tcp',
        src_tag: 'default_a_b',
        src_net: '1.2.3.4/32',
        src_ports: [1, '2:4'],
        dst_tag: 'default_c_d',
        dst_net: '5.6.7.0/24',
        dst_ports: [3],
      },
    ],
  )
  t.equal(
    JSON.stringify(compile('allow tcp from label role=backend to ports 80', 'production')),
    '[{"action":"allow","protocol":"tcp","src_tag":"production_role_backend","dst_ports":[80]}]',
  )
  t.end()
})

t.test('the parsed form keeps labels apart from tags', t => {
  const compiled = compileAnnotation(' ;allow icmp type 8 code 0 from label a/b=c_d cidr 10.1.2.3/8', 'n')
  t.match(compiled, {
    parsed: {
      rules: [
        {
          column: 3,
          protocol: 'icmp',
          icmpType: 8,
          icmpCode: 0,
          from: { label: { key: 'a/b', value: 'c_d' }, cidr: { family: 4, base: 10n << 24n, length: 8 } },
          to: {},
        },
      ],
    },
  })
  t.end()
})

t.test('errors point at their column in the whole annotation', t => {
  const rows: [text: string, column: number, message: RegExp][] = [
    ['', 1, /no rule/],
    ['  ; ;\n', 1, /no rule/],
    ['deny tcp', 1, /allow-only/],
    ['Deny', 1, /allow-only/],
    ['allow; deny tcp', 8, /allow-only/],
    ['ALLOW', 1, /lower case/],
    ['pass tcp', 1, /begins with `allow`/],
    ['allow TCP', 7, /lower case: `tcp`/],
    ['allow icmpv6', 7, /words are/],
    ['allow tcp udp', 11, /in this order/],
    ['allow tcp to ports 80 from label a=b', 23, /in this order/],
    ['allow tcp ports 80', 11, /in this order/],
    ['allow to ports 80', 10, /need tcp or udp/],
    ['allow icmp from ports 80', 17, /need tcp or udp/],
    ['allow tcp to ports 080', 20, /leading zeros/],
    ['allow tcp to ports 80,443,090', 27, /leading zeros/],
    ['allow tcp to ports 80, 443', 23, /not a port/],
    ['allow tcp to ports 90:80', 20, /LOWER:HIGHER/],
    ['allow tcp to ports 80:80', 20, /LOWER:HIGHER/],
    ['allow tcp to ports 1:2:3', 20, /not a port/],
    ['allow tcp to ports', 19, /`ports` must be followed/],
    ['allow tcp to ports ; allow', 19, /`ports` must be followed/],
    ['allow from label', 17, /KEY=VALUE/],
    ['allow from cidr', 16, /CIDR/],
    ['allow from label a=b label c=d', 22, /only once/],
    ['allow tcp to port 80 ports 81', 22, /only once/],
    ['allow tcp from label a=b ports 80', 26, /order inside a side/],
    ['allow from label a=', 18, /not a label/],
    ['allow from label ä=b', 18, /not a label/],
    ['allow from cidr 10', 17, /not a CIDR/],
    ['allow from cidr 10.0.0.0/08', 17, /not a CIDR/],
    ['allow icmp type 255', 17, /any type/],
    ['allow icmp type 256', 17, /0 to 254/],
    ['allow icmp type 08', 17, /leading zeros/],
    ['allow icmp type 8 code 256', 24, /0 to 255/],
    ['allow icmp type 8 code', 23, /0 to 255/],
    ['allow icmp code 0', 12, /in this order/],
    ['allow icmp from cidr fd00::/8', 22, /ICMPv4/],
    ['allow icmp from cidr 10.0.0.0/8 to cidr ::1', 41, /ICMPv4/],
    ['allow from cidr 10.0.0.0/8 to cidr ::1', 36, /one family/],
    ['allow;\n  allow tcp\tfrom nobody', 25, /Did not expect/],
    // Characters, not the halves of which JavaScript makes them.
    ['allow from label 😀=b; deny', 18, /not a label/],
    ['allow;😀', 7, /begins with/],
    ['allow; 😀😀 x; allow', 8, /begins with/],
    ['allow tcp 😀 x', 11, /Did not expect/],
    // Only ASCII blanks part words: a pasted no-break space must not silently change the meaning.
    ['allow\u00a0tcp', 1, /begins with/],
    ['allow tcp to port 80\u0000', 19, /not a port/],
    ['allow __proto__', 7, /Did not expect/],
  ]
  for (const [text, column, message] of rows) {
    const found = compile(text)
    t.match(found, { column, message }, text)
    t.notMatch(found, { message: /[^\x20-\x7e]/ }, 'messages are printable ASCII')
  }
  t.end()
})

t.test('accepted with a warning', t => {
  t.match(warnings('allow; allow tcp from'), [{ column: 18, message: /bare `from`/ }])
  t.match(warnings('allow from to'), [
    { column: 7, message: /bare `from`/ },
    { column: 12, message: /bare `to`/ },
  ])
  t.match(warnings('allow from cidr 10.1.2.3/8'), [{ column: 17, message: /means 10\.0\.0\.0\/8/ }])
  t.strictSame(warnings('allow tcp from label a=b cidr 10.0.0.0/8 to ports 80; allow from cidr ::1'), [])
  t.strictSame(compile('allow tcp from'), [{ action: 'allow', protocol: 'tcp' }])
  t.strictSame(compile(';allow;;allow udp; '), [{ action: 'allow' }, { action: 'allow', protocol: 'udp' }])
  t.strictSame(compile('\tallow\r\n tcp\f\vto port 0,65535'), [
    { action: 'allow', protocol: 'tcp', dst_ports: [0, 65535] },
  ])
  t.end()
})

t.test('tags', t => {
  const { labels, namespaces } = readCases<{
    labels: { namespace: string; key: string; value: string; tag: string }[]
    namespaces: { namespace: string; tag: string }[]
  }>('label-to-tag.json')
  t.ok(labels.length > 15 && namespaces.length > 5)
  for (const { namespace, key, value, tag } of labels)
    t.equal(labelTag(namespace, key, value), tag, `${key}=${value}`)
  for (const { namespace, tag } of namespaces) t.equal(namespaceTag(namespace), tag)
  t.equal(podTag('production', 'pod1'), 'production_pod1')
  t.equal(labelTag('default', '😀', 'x'), 'default___x', 'one character is one `_`')
  t.end()
})

const word = fc.constantFrom(
  ...['allow', 'deny', 'tcp', 'udp', 'icmp', 'from', 'to', 'port', 'ports', 'label', 'cidr', 'type', 'code'],
  ...[
    '80',
    '80,443',
    '1:2',
    '080',
    '8',
    '255',
    'a=b',
    'a/b=c_d',
    '10.0.0.0/8',
    'fd00::1',
    '10',
    ';',
    '; allow',
    '\u0000',
    '😀',
  ],
)
const sentence = fc.array(word, { maxLength: 12 }).map(words => `allow ${words.join(' ')}`)

t.test('what compiles is always a valid rule that allows', async () => {
  const holds = (text: string) => {
    const compiled = compileAnnotation(text, 'default')
    if ('error' in compiled) {
      const { column, message } = compiled.error
      return message !== '' && column >= 1 && column <= [...text].length + 1
    }
    // Each rule is taken by the rule model as it stands.
    const json = parseJson(JSON.stringify({ inbound_rules: compiled.rules }))
    const { inbound } = decodeProfileRules(json)
    return inbound.length === compiled.rules.length && inbound.every(rule => rule.action === 'allow')
  }
  fc.assert(fc.property(fc.oneof(sentence, fc.string({ unit: 'binary' })), holds), { numRuns: 5000 })
})

t.test('deny never compiles', async () => {
  const holds = (before: string, after: string) =>
    'error' in compileAnnotation(`${before};deny ${after}`, 'default')
  fc.assert(fc.property(sentence, sentence, holds), { numRuns: 300 })
})
