import type { Selector } from '../model/selector.ts'
import type { Family, Rule } from '../model/values.ts'
import type { EffectiveMatch, EffectiveRule, SetId } from './outcome.ts'
import { ruleFamilies } from './rule-families.ts'
import { icmpPart, netPart, portPart, protocolOf, protocolPart, type RulePart, setPart } from './rule-part.ts'
import { selectorSetId } from './tracked-set.ts'

/** "This network but not that one", on both sides, multiplies; past so many rules one side is simplified. */
const MOST_PIECES = 1024

/**
 * A model rule as rules that netfilter can express, as if every set were complete. Together they match exactly
 * what is meant; where that cannot be said, a deny covers more and any other action less. A rule that can match
 * nothing yields none.
 */
export function effectiveRules(rule: Rule, index: number): EffectiveRule[] {
  return ruleFamilies(rule).flatMap(families => resolve(rule, families, index))
}

function resolve(rule: Rule, families: readonly Family[], index: number): EffectiveRule[] {
  const protocol = protocolOf(rule, families)
  const sources = netPart(rule, 'src', families)
  let destinations = netPart(rule, 'dst', families)
  if (sources.length * destinations.length > MOST_PIECES)
    destinations = rule.action === 'deny' ? [{ is: { dstNet: rule.is.dstNet! }, not: {} }] : []
  const aspects = [
    protocolPart(rule, protocol),
    sources,
    destinations,
    portPart(rule, 'src', protocol),
    portPart(rule, 'dst', protocol),
    icmpPart(rule, protocol),
    setPart(rule, 'src'),
    setPart(rule, 'dst'),
  ]
  return aspects.reduce(combine).map(({ is, not }) => ({
    action: rule.action,
    families,
    is,
    not,
    ...(rule.logPrefix === undefined ? {} : { logPrefix: rule.logPrefix }),
    index,
  }))
}

function combine(left: readonly RulePart[], right: readonly RulePart[]): readonly RulePart[] {
  return left.flatMap(a => right.map(b => ({ is: { ...a.is, ...b.is }, not: { ...a.not, ...b.not } })))
}

/** The sets that effective rules use, each with its selector (null: a tag's), as `rules` wrote them. */
export function setsOf(
  effective: readonly EffectiveRule[],
  rules: readonly Rule[],
): ReadonlyMap<SetId, Selector | null> {
  const sets = new Map<SetId, Selector | null>()
  for (const { is, not, index } of effective) {
    const ids = [is.srcSets, is.dstSets, not.srcSets, not.dstSets].flatMap(each => each ?? [])
    if (ids.length === 0) continue
    const rule = rules[index]!
    const selectors = [rule.is.srcSelector, rule.is.dstSelector, rule.not.srcSelector, rule.not.dstSelector]
    for (const id of ids) {
      if (sets.has(id)) continue
      sets.set(id, selectors.find(each => each !== undefined && selectorSetId(each) === id) ?? null)
    }
  }
  return sets
}

/**
 * The rule where some sets may lack members, so that nothing opens that complete sets would keep closed.
 * An allow uses a positive incomplete set as it is, and matches nothing with a negated one. A deny goes without
 * incomplete sets and so denies all that its other matches cover. A next-tier that is missed could let a later
 * rule of the tier allow, and one that is hit wrongly a later tier, so it passes on what surely matches and
 * denies what might; what surely does not match goes on to the next rule.
 */
export function underDoubt(rule: EffectiveRule, isIncomplete: (id: SetId) => boolean): EffectiveRule[] {
  const { action, is, not } = rule
  const positive = [...(is.srcSets ?? []), ...(is.dstSets ?? [])].some(isIncomplete)
  const negated = [...(not.srcSets ?? []), ...(not.dstSets ?? [])].some(isIncomplete)
  if (action === 'log' || !(positive || negated)) return [rule]
  if (action === 'allow') return negated ? [] : [rule]
  const { logPrefix, ...silent } = rule
  const denial: EffectiveRule = { ...silent, action: 'deny', is: completeOnly(is, isIncomplete) }
  if (action === 'next-tier') return negated ? [denial] : [rule, denial]
  return [{ ...rule, is: denial.is, not: completeOnly(not, isIncomplete) }]
}

function completeOnly(match: EffectiveMatch, isIncomplete: (id: SetId) => boolean): EffectiveMatch {
  const { srcSets, dstSets, ...others } = match
  const sources = (srcSets ?? []).filter(id => !isIncomplete(id))
  const destinations = (dstSets ?? []).filter(id => !isIncomplete(id))
  return {
    ...others,
    ...(sources.length === 0 ? {} : { srcSets: sources }),
    ...(destinations.length === 0 ? {} : { dstSets: destinations }),
  }
}
