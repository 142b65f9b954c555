import { type JsonObject, listMember } from './json.ts'
import { decodeRule } from './rule.ts'
import type { Rule, RuleSet } from './values.ts'

function decodeRules(object: JsonObject, field: string): readonly Rule[] {
  return listMember(object, field, field).map((rule, at) => decodeRule(rule, `${field}[${at}]`))
}

/** The two rule lists of a profile or policy; a missing list is empty, other members are left alone. Throws Refusal. */
export function decodeRuleSet(object: JsonObject): RuleSet {
  return {
    inbound: decodeRules(object, 'inbound_rules'),
    outbound: decodeRules(object, 'outbound_rules'),
  }
}
