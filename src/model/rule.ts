import { formatCidr } from './cidr.ts'
import { asObject, type JsonObject, member } from './json.ts'
import { ICMP, ICMPV6, protocolHasPorts, protocolName } from './protocol.ts'
import { Refusal, show } from './refusal.ts'
import { decodeMatch, MATCH_FIELDS } from './rule-match.ts'
import type { Action, Family, Rule, RuleMatch } from './values.ts'

const ACTIONS: ReadonlySet<unknown> = new Set<Action>(['allow', 'deny', 'next-tier', 'log'])

const FIELDS: ReadonlySet<string> = new Set([
  'action',
  'ip_version',
  'log_prefix',
  ...MATCH_FIELDS,
  ...MATCH_FIELDS.map(field => `!${field}`),
])

/** iptables' LOG takes 29 characters of prefix; Felix wrote `: ` after this many. */
const LONGEST_LOG_PREFIX = 27

/** The rule's members without those that are null, which writers of the time used for absent. */
function withoutNulls(rule: JsonObject, place: string): JsonObject {
  const fields: Record<string, unknown> = Object.create(null)
  for (const name of Object.keys(rule)) {
    if (rule[name] === null) continue
    if (!FIELDS.has(name))
      throw new Refusal(
        place,
        `${show(name)} is not a field of a rule`,
        'Remove it or correct its name; a rule with a condition unknown here must not be applied in part.',
      )
    fields[name] = rule[name]
  }
  return fields
}

function decodeAction(fields: JsonObject, place: string): Action {
  const action = member(fields, 'action') ?? 'allow'
  if (ACTIONS.has(action)) return action as Action
  throw new Refusal(
    `${place}.action`,
    `${show(action)} is not an action`,
    'Write "allow", "deny", "next-tier" or "log".',
  )
}

function decodeLogPrefix(value: unknown, place: string): string {
  if (typeof value !== 'string')
    throw new Refusal(place, `a log prefix is a text, not ${show(value)}`, 'Put the prefix into quotes.')
  return value.replace(/[^A-Za-z0-9_:-]/gu, '_').slice(0, LONGEST_LOG_PREFIX)
}

function decodeIpVersion(value: unknown, place: string): Family {
  if (value === 4 || value === 6) return value
  throw new Refusal(place, `${show(value)} is not an IP version`, 'Write the number 4 or 6.')
}

/** Throws Refusal when the rule asks for addresses of both families at once: no packet could ever match it. */
function checkFamilies(is: RuleMatch, not: RuleMatch, ipVersion: Family | undefined, place: string): void {
  const remedy = 'Write one rule for each family.'
  const icmp = is.protocol === ICMP ? 4 : is.protocol === ICMPV6 ? 6 : undefined
  if (icmp !== undefined && ipVersion !== undefined && icmp !== ipVersion)
    throw new Refusal(`${place}.ip_version`, `${protocolName(is.protocol!)} is of IPv${icmp} only`, remedy)
  let family = ipVersion ?? icmp
  for (const [name, net] of [
    ['src_net', is.srcNet],
    ['dst_net', is.dstNet],
    ['!src_net', not.srcNet],
    ['!dst_net', not.dstNet],
  ] as const) {
    if (net === undefined) continue
    family ??= net.family
    if (net.family !== family)
      throw new Refusal(
        `${place}.${name}`,
        `${formatCidr(net)} is of another family than the rest of the rule`,
        remedy,
      )
  }
}

/** Throws Refusal when ports or ICMP types stand without a protocol that has them. */
function checkProtocol(is: RuleMatch, not: RuleMatch, place: string): void {
  const { protocol } = is
  for (const [sign, match] of [
    ['', is],
    ['!', not],
  ] as const) {
    const ports = match.srcPorts ? 'src_ports' : match.dstPorts ? 'dst_ports' : null
    if (ports !== null && (protocol === undefined || !protocolHasPorts(protocol)))
      throw new Refusal(
        `${place}.${sign}${ports}`,
        'ports need a protocol that has ports',
        'Add "protocol": tcp, udp, sctp, udplite or dccp.',
      )
    if (match.icmpCode !== undefined && match.icmpType === undefined)
      throw new Refusal(`${place}.${sign}icmp_code`, `a code needs ${sign}icmp_type`, `Add ${sign}icmp_type.`)
    if (match.icmpType !== undefined && protocol !== ICMP && protocol !== ICMPV6)
      throw new Refusal(
        `${place}.${sign}icmp_type`,
        'an ICMP type needs the protocol icmp or icmpv6',
        'Add "protocol": "icmp" or "icmpv6".',
      )
  }
}

/**
 * One rule of the v1 model; `place` names it: `inbound_rules[2]`. In the result `not.icmpType` with
 * `not.icmpCode` is one condition: not this type with this code. Throws Refusal.
 */
export function decodeRule(json: unknown, place: string): Rule {
  const fields = withoutNulls(asObject(json, place), place)
  const action = decodeAction(fields, place)
  const is = decodeMatch(fields, '', place)
  const not = decodeMatch(fields, '!', place)
  const version = member(fields, 'ip_version')
  const ipVersion = version === undefined ? undefined : decodeIpVersion(version, `${place}.ip_version`)
  const prefix = member(fields, 'log_prefix')
  const logPrefix = prefix === undefined ? undefined : decodeLogPrefix(prefix, `${place}.log_prefix`)
  checkProtocol(is, not, place)
  checkFamilies(is, not, ipVersion, place)
  return {
    action,
    ...(ipVersion !== undefined && { ipVersion }),
    is,
    not,
    ...(logPrefix !== undefined && { logPrefix }),
  }
}
