import { NEXT_TIER_CHAIN } from '../render/rule-list.ts'

/**
 * What a rule becomes while sets lack members that they should have (the kernel did not take them), so
 * that a smaller set never opens anything. As policy does with sets that may lack members: an allow stands with
 * a positive match, which merely lets less through, and is left out with a negated one; a deny covers all that its
 * other matches cover; a next-tier passes on what surely matches and denies what might, since a later rule
 * of its tier could allow that. Returns the same array when no rule is concerned.
 */
export function withoutShortSets(rules: readonly string[], short: ReadonlySet<string>): readonly string[] {
  if (short.size === 0) return rules
  let changed = false
  const guarded: string[] = []
  for (const rule of rules) {
    const uses = [...rule.matchAll(SET_MATCH)].filter(([, , name = '']) => short.has(name))
    const safe = uses.length === 0 ? [rule] : guardedRule(rule, uses)
    changed ||= safe.length !== 1 || safe[0] !== rule
    guarded.push(...safe)
  }
  return changed ? guarded : rules
}

const SET_MATCH = /-m set (! )?--match-set (\S+) \S+ /g
const NEXT_TIER = `-g ${NEXT_TIER_CHAIN}`

function guardedRule(rule: string, uses: readonly RegExpExecArray[]): readonly string[] {
  const negated = uses.some(([, sign]) => sign !== undefined)
  // A negated match in a denial stands: with fewer members it denies more.
  const widened = uses.reduce((text, [match, sign]) => (sign ? text : text.replace(match, '')), rule)
  if (rule.endsWith('-j DROP')) return [widened]
  if (rule.endsWith(NEXT_TIER)) {
    const denial = `${widened.slice(0, -NEXT_TIER.length)}-j DROP`
    return negated ? [denial] : [rule, denial]
  }
  return negated ? [] : [rule]
}

/** The rules without those that use one of these sets. */
export function withoutSets(rules: readonly string[], sets: ReadonlySet<string>): readonly string[] {
  if (sets.size === 0 || !usesSet(rules, sets)) return rules
  return rules.filter(rule => !usesSet([rule], sets))
}

function usesSet(rules: readonly string[], sets: ReadonlySet<string>): boolean {
  return rules.some(rule => [...rule.matchAll(SET_MATCH)].some(([, , name = '']) => sets.has(name)))
}
