import { type Cidr, subtractCidr } from '../model/cidr.ts'
import { ICMP, ICMPV6, protocolHasPorts } from '../model/protocol.ts'
import type { Family, PortRange, Rule, RuleMatch } from '../model/values.ts'
import type { EffectiveMatch, SetId } from './outcome.ts'
import { ALL_PORTS, subtractPorts } from './port-difference.ts'
import { selectorSetId, tagSetId } from './tracked-set.ts'

/**
 * One aspect of a rule (its source network, its ICMP type, ...) as alternatives of which one must match.
 * No alternative: nothing matches. An alternative without content: everything does.
 */
export interface RulePart {
  readonly is: EffectiveMatch
  readonly not: EffectiveMatch
}

export type Side = 'src' | 'dst'

const ANYTHING: readonly RulePart[] = [{ is: {}, not: {} }]
const NOTHING: readonly RulePart[] = []

function must(is: EffectiveMatch): RulePart {
  return { is, not: {} }
}

function mustNot(not: EffectiveMatch): RulePart {
  return { is: {}, not }
}

/** Where netfilter cannot say what is meant, a deny covers more and anything else less. */
function inexact(rule: Rule): readonly RulePart[] {
  return rule.action === 'deny' ? ANYTHING : NOTHING
}

/** The protocol that a rule asks for, in one family group of it. */
export function protocolOf(rule: Rule, families: readonly Family[]): number | undefined {
  if (rule.is.protocol !== undefined || rule.is.icmpType === undefined) return rule.is.protocol
  return families.includes(4) ? ICMP : ICMPV6
}

export function protocolPart(rule: Rule, protocol: number | undefined): readonly RulePart[] {
  const without = rule.not.protocol
  if (protocol !== undefined) return protocol === without ? NOTHING : [must({ protocol })]
  return without === undefined ? ANYTHING : [mustNot({ protocol: without })]
}

export function netPart(rule: Rule, side: Side, families: readonly Family[]): readonly RulePart[] {
  const field = side === 'src' ? 'srcNet' : 'dstNet'
  const net = rule.is[field]
  let without: Cidr | undefined = rule.not[field]
  if (without !== undefined && !families.includes(without.family)) without = undefined
  if (net === undefined && without === undefined) return ANYTHING
  if (net === undefined) return without!.length === 0 ? NOTHING : [mustNot({ [field]: without })]
  const nets = without === undefined ? [net] : subtractCidr(net, without)
  return nets.map(piece => must({ [field]: piece }))
}

export function portPart(rule: Rule, side: Side, protocol: number | undefined): readonly RulePart[] {
  const field = side === 'src' ? 'srcPorts' : 'dstPorts'
  const ports: readonly PortRange[] | undefined = rule.is[field]
  const without: readonly PortRange[] = rule.not[field] ?? []
  if (ports === undefined && without.length === 0) return ANYTHING
  if (protocol === undefined || ports?.length === 0) return inexact(rule)
  if (!protocolHasPorts(protocol)) return ports === undefined ? inexact(rule) : NOTHING
  if (ports === undefined)
    return subtractPorts(ALL_PORTS, without).length === 0 ? NOTHING : [mustNot({ [field]: without })]
  const left = without.length === 0 ? ports : subtractPorts(ports, without)
  return left.length === 0 ? NOTHING : [must({ [field]: left })]
}

/** Type 255 is "any type" to the kernel's IPv4 match, so it cannot be asked for. */
const ANY_ICMP = 255

export function icmpPart(rule: Rule, protocol: number | undefined): readonly RulePart[] {
  const { icmpType: type, icmpCode: code } = rule.is
  const { icmpCode: notCode } = rule.not
  // A negated code alone is one of the type that the rule asks for.
  const notType = rule.not.icmpType ?? (notCode === undefined ? undefined : type)
  if (type === undefined && code === undefined && notType === undefined && notCode === undefined)
    return ANYTHING
  const isIcmp = protocol === ICMP || protocol === ICMPV6
  if (type === undefined && (code !== undefined || (notCode !== undefined && notType === undefined)))
    return inexact(rule)
  if (type === undefined) {
    if (protocol !== undefined && !isIcmp) return ANYTHING
    if (protocol === undefined || (protocol === ICMP && notType === ANY_ICMP)) return inexact(rule)
    return [mustNot(icmp(notType!, notCode))]
  }
  if (!isIcmp) return NOTHING
  if (protocol === ICMP && type === ANY_ICMP) return inexact(rule)
  const asked = icmp(type, code)
  if (type !== notType) return [must(asked)]
  if (notCode === undefined || code === notCode) return NOTHING
  return [code === undefined ? { is: asked, not: icmp(type, notCode) } : must(asked)]
}

function icmp(icmpType: number, icmpCode: number | undefined): EffectiveMatch {
  return icmpCode === undefined ? { icmpType } : { icmpType, icmpCode }
}

export function setPart(rule: Rule, side: Side): readonly RulePart[] {
  const asked = setIds(rule.is, side)
  const without = setIds(rule.not, side)
  if (asked.some(id => without.includes(id))) return NOTHING
  const field = side === 'src' ? 'srcSets' : 'dstSets'
  return [
    {
      is: asked.length === 0 ? {} : { [field]: asked },
      not: without.length === 0 ? {} : { [field]: without },
    },
  ]
}

function setIds(match: RuleMatch, side: Side): SetId[] {
  const tag = side === 'src' ? match.srcTag : match.dstTag
  const selector = side === 'src' ? match.srcSelector : match.dstSelector
  const ids: SetId[] = []
  if (tag !== undefined) ids.push(tagSetId(tag))
  if (selector !== undefined) ids.push(selectorSetId(selector))
  return ids
}
