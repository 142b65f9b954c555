import {
  AnnotationError,
  type AnnotationSide,
  type Note,
  peek,
  type Reader,
  readSide,
  takeValue,
} from './annotation-side.ts'
import { type Segment, splitAnnotation, type Word } from './annotation-word.ts'
import { formatCidr } from './cidr.ts'
import { parseDigits, portToJson } from './port.ts'
import { show } from './refusal.ts'
import { labelTag } from './tag.ts'

/** One rule of an annotation. The language only allows, and only what comes in. */
export interface AnnotationRule {
  /** Where the rule begins: 1-based, in code points of the whole annotation. */
  readonly column: number
  readonly protocol?: 'tcp' | 'udp' | 'icmp'
  readonly icmpType?: number
  readonly icmpCode?: number
  readonly from: AnnotationSide
  readonly to: AnnotationSide
}

export interface ParsedAnnotation {
  readonly rules: readonly AnnotationRule[]
  /** What is accepted and perhaps not what was meant. */
  readonly warnings: readonly Note[]
}

/** An inbound rule of the v1 model as JSON, with the documented tags for labels. */
export interface AnnotationRuleJson {
  action: 'allow'
  protocol?: 'tcp' | 'udp' | 'icmp'
  icmp_type?: number
  icmp_code?: number
  src_tag?: string
  src_net?: string
  src_ports?: (number | string)[]
  dst_tag?: string
  dst_net?: string
  dst_ports?: (number | string)[]
}

function readNumber(reader: Reader, what: string, highest: number): number {
  const word = takeValue(reader, `a number 0 to ${highest}`)
  const number = parseDigits(word.text, highest)
  if (number !== null) return number
  if (word.text === '255')
    throw new AnnotationError(
      word.column,
      'ICMP type 255 means any type to the kernel; write `allow icmp` for all.',
    )
  throw new AnnotationError(
    word.column,
    `${show(word.text)} is not an ICMP ${what}: write a number 0 to ${highest} without leading zeros.`,
  )
}

function readAction(word: Word): void {
  if (word.text === 'allow') return
  if (word.text.toLowerCase() === 'deny')
    throw new AnnotationError(
      word.column,
      'The language is allow-only: leave `deny` out, what no rule allows is denied.',
    )
  const hint =
    word.text.toLowerCase() === 'allow' ? 'keywords are lower case' : 'every rule begins with `allow`'
  throw new AnnotationError(word.column, `Found ${show(word.text)}, but ${hint}.`)
}

const PLACES: readonly string[] = [
  'tcp',
  'udp',
  'icmp',
  'from',
  'to',
  'port',
  'ports',
  'label',
  'cidr',
  'type',
  'code',
]

function unexpected(word: Word): AnnotationError {
  const lower = word.text.toLowerCase()
  const hint = PLACES.includes(word.text)
    ? 'a rule is `allow [tcp | udp | icmp [type T [code C]]] [from ...] [to ...]`, in this order'
    : PLACES.includes(lower)
      ? `keywords are lower case: \`${lower}\``
      : 'the words are tcp, udp, icmp, from, to, ports, label, cidr, type and code'
  return new AnnotationError(word.column, `Did not expect ${show(word.text)} here; ${hint}.`)
}

/** Throws AnnotationError where the two sides, or ICMPv4, name networks of different families. */
function checkFamilies(rule: AnnotationRule, words: Segment): void {
  const nets = [rule.from.cidr, rule.to.cidr].filter(net => net !== undefined)
  const family = rule.protocol === 'icmp' ? 4 : nets[0]?.family
  const at = nets.findIndex(net => net.family !== family)
  if (at < 0) return
  // Each cidr keyword is followed by its network; a keyword cannot be a label or a port.
  const places = words.filter((_, next) => words[next - 1]?.text === 'cidr')
  const why =
    rule.protocol === 'icmp'
      ? 'icmp is ICMPv4 and never comes from or to IPv6'
      : 'both sides must be of one family'
  throw new AnnotationError(places[at]!.column, `No packet can match ${show(places[at]!.text)} here: ${why}.`)
}

function readRule(words: Segment, warnings: Note[]): AnnotationRule {
  const reader: Reader = { words, next: 1, warnings }
  const first = words[0]!
  readAction(first)
  const rule: { -readonly [Field in keyof AnnotationRule]: AnnotationRule[Field] } = {
    column: first.column,
    from: {},
    to: {},
  }
  const taken = (text: string) => peek(reader)?.text === text && reader.next++ > 0
  for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
    if (!taken(protocol)) continue
    rule.protocol = protocol
    break
  }
  if (rule.protocol === 'icmp' && taken('type')) {
    rule.icmpType = readNumber(reader, 'type', 254)
    if (taken('code')) rule.icmpCode = readNumber(reader, 'code', 255)
  }
  for (const side of ['from', 'to'] as const) {
    const word = peek(reader)
    if (taken(side)) rule[side] = readSide(reader, word!, rule.protocol)
  }
  const rest = peek(reader)
  if (rest !== undefined) throw unexpected(rest)
  checkFamilies(rule, words)
  return rule
}

/** Reads a `projectcalico.org/policy` annotation. Empty segments are left out. Throws AnnotationError. */
export function parseAnnotation(text: string): ParsedAnnotation {
  const warnings: Note[] = []
  const rules = splitAnnotation(text).map(words => readRule(words, warnings))
  if (rules.length === 0)
    throw new AnnotationError(1, 'The annotation holds no rule; `allow` alone would accept everything.')
  return { rules, warnings }
}

/** The v1 rule of an annotation's rule, for a pod of `namespace`. */
export function ruleToJson(rule: AnnotationRule, namespace: string): AnnotationRuleJson {
  const json: AnnotationRuleJson = { action: 'allow' }
  if (rule.protocol !== undefined) json.protocol = rule.protocol
  if (rule.icmpType !== undefined) json.icmp_type = rule.icmpType
  if (rule.icmpCode !== undefined) json.icmp_code = rule.icmpCode
  for (const [prefix, side] of [
    ['src', rule.from],
    ['dst', rule.to],
  ] as const) {
    if (side.label) json[`${prefix}_tag`] = labelTag(namespace, side.label.key, side.label.value)
    if (side.cidr) json[`${prefix}_net`] = formatCidr(side.cidr)
    if (side.ports) json[`${prefix}_ports`] = side.ports.map(portToJson)
  }
  return json
}

export type CompiledAnnotation =
  | { readonly rules: readonly AnnotationRuleJson[]; readonly parsed: ParsedAnnotation }
  | { readonly error: Note }

/** An annotation of a pod of `namespace` to inbound rules of the v1 model, or the error with its column. */
export function compileAnnotation(text: string, namespace: string): CompiledAnnotation {
  try {
    const parsed = parseAnnotation(text)
    return { rules: parsed.rules.map(rule => ruleToJson(rule, namespace)), parsed }
  } catch (error) {
    if (error instanceof AnnotationError) return { error: { column: error.column, message: error.message } }
    throw error
  }
}
