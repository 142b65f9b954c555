import { ICMP, ICMPV6 } from '../model/protocol.ts'
import { FAMILIES, type Family, type Rule } from '../model/values.ts'

/**
 * The families that take a rule, in groups that can share one effective rule; no group: neither does.
 * A positive network, the ICMP of a family or an `ip_version` makes the rule one of that family only, and so
 * does a negated network: in the other family it would match everything.
 */
export function ruleFamilies(rule: Rule): readonly (readonly Family[])[] {
  const { is, not } = rule
  const positive = distinct([
    rule.ipVersion,
    protocolFamily(is.protocol),
    is.srcNet?.family,
    is.dstNet?.family,
  ])
  if (positive.length > 1) return []
  // What is of one family already never meets an address of the other: a negated network of the other is true.
  if (positive.length === 1) return [positive]
  const negative = distinct([not.srcNet?.family, not.dstNet?.family])
  if (negative.length === 1) return [negative]
  // Both families are named, each in a negation: an allow holds in neither, a deny in each for its own part.
  if (negative.length === 2) return rule.action === 'deny' ? [[4], [6]] : []
  // Without a protocol, an ICMP type speaks of the ICMP of each family.
  return is.icmpType === undefined || is.protocol !== undefined ? [FAMILIES] : [[4], [6]]
}

function protocolFamily(protocol: number | undefined): Family | undefined {
  if (protocol === ICMP) return 4
  return protocol === ICMPV6 ? 6 : undefined
}

function distinct(families: readonly (Family | undefined)[]): Family[] {
  return FAMILIES.filter(family => families.includes(family))
}
