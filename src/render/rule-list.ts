import type { Family } from '../model/values.ts'
import type { EffectiveRule, RuleList } from '../policy/outcome.ts'
import { DROP, goto, rule } from './action.ts'
import type { Chain } from './chain.ts'
import type { Match } from './match.ts'
import { alternativesOf, type RuleMatchContext } from './rule-match.ts'
import { messageText } from './safe-text.ts'
import { otherRole, usesSets } from './set-roles.ts'
import { dropRules, logRule, type Style } from './style.ts'

/**
 * Where a rule's allow and next-tier end: chains that set one mark bit. One `-g` instead of a MARK rule and
 * a RETURN rule halves the rules of a list, and a list without sets then holds nothing but native matches,
 * which iptables-nft commits without waiting for the deletions before.
 */
export const ALLOW_CHAIN = 'podf-allow'
export const NEXT_TIER_CHAIN = 'podf-next-tier'

export interface RuleListContext extends RuleMatchContext {
  readonly style: Style
}

/** `in/profile/web`: the list for people. */
export function listTitle(list: RuleList): string {
  return `${list.direction === 'inbound' ? 'in' : 'out'}/${list.owner.kind}/${list.owner.name}`
}

/** Whom its chains serve, as messages about them say: `profile web inbound`. */
export function listOwner({ owner, direction }: Pick<RuleList, 'owner' | 'direction'>): string {
  return messageText(`${owner.kind} ${owner.name} ${direction}`)
}

/**
 * The chain of one policy's or profile's rules of one direction and family. It sets ACCEPT or PASS and
 * comes back, drops, or comes back with neither: then the next list is asked. A closed list drops everything.
 */
export function listChain(list: RuleList, name: string, family: Family, context: RuleListContext): Chain {
  const title = listTitle(list)
  const body: string[] = []
  if (list.closed !== null) body.push(...dropRules(context.style, [], `closed:${title}`))
  else for (const each of list.rules) body.push(...ruleLines(each, title, family, context))
  return { family, table: 'filter', name, rank: 'list', owner: listOwner(list), title, body }
}

function ruleLines(each: EffectiveRule, title: string, family: Family, context: RuleListContext): string[] {
  const lines: string[] = []
  for (const matches of alternativesOf(each, family, context)) {
    if (each.action === 'log' || each.logPrefix !== undefined)
      lines.push(logRule(context.style, matches, `podf:L:${each.logPrefix ?? `${each.index}:${title}`}`))
    lines.push(...actionLines(each, matches, title, context.style))
  }
  if (each.action === 'next-tier' && usesSets(each)) lines.push(...doubtLines(each, family, context))
  return lines
}

/**
 * A next-tier neither opens nor closes by itself: what it passes on, a later rule of its tier might deny, and
 * what it misses, allow. So it passes on only what is a member in both roles of a set, and what is one in but
 * one is dropped. The two differ only while members are being written: otherwise this never matches.
 */
function doubtLines(each: EffectiveRule, family: Family, context: RuleListContext): string[] {
  const setName: RuleListContext['setName'] = (id, of, role) => context.setName(id, of, otherRole(role))
  return alternativesOf(each, family, { ...context, setName }).map(matches => rule(matches, DROP))
}

function actionLines(each: EffectiveRule, matches: readonly Match[], title: string, style: Style): string[] {
  if (each.action === 'allow') return [rule(matches, goto(ALLOW_CHAIN))]
  if (each.action === 'next-tier') return [rule(matches, goto(NEXT_TIER_CHAIN))]
  return each.action === 'deny' ? dropRules(style, matches, `deny:${each.index}:${title}`) : []
}
