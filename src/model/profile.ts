import { decodeId } from './id.ts'
import { asObject } from './json.ts'
import { decodeLabels } from './labels.ts'
import { Refusal, show } from './refusal.ts'
import { decodeRuleSet } from './rule-set.ts'
import type { RuleSet } from './values.ts'

/** A profile's rules. Throws Refusal. */
export function decodeProfileRules(json: unknown): RuleSet {
  return decodeRuleSet(asObject(json, ''))
}

/** A profile's tags, without doubles. Throws Refusal. */
export function decodeProfileTags(json: unknown): readonly string[] {
  if (!Array.isArray(json))
    throw new Refusal('', `tags are a list, not ${show(json)}`, 'Write a JSON list of texts.')
  return [...new Set(json.map((tag, at) => decodeId(tag, 'a tag', `[${at}]`)))]
}

/** A profile's labels, which its endpoints inherit. Throws Refusal. */
export function decodeProfileLabels(json: unknown): ReadonlyMap<string, string> {
  return decodeLabels(asObject(json, ''), '')
}
