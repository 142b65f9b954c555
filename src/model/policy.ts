import { asObject, type JsonObject, member } from './json.ts'
import { decodeOrder } from './order.ts'
import { attempt, Refusal } from './refusal.ts'
import { decodeRuleSet } from './rule-set.ts'
import type { Selector } from './selector.ts'
import { decodeSelector } from './selector-field.ts'
import type { Policy, PolicyRemains } from './values.ts'

function decodePolicySelector(object: JsonObject): Selector {
  const selector = member(object, 'selector')
  if (selector === undefined)
    throw new Refusal(
      'selector',
      'a policy must have a selector',
      'Write a selector; `all()` picks every endpoint.',
    )
  return decodeSelector(selector, 'selector')
}

/** A policy's JSON value. Throws Refusal. */
export function decodePolicy(json: unknown): Policy {
  const object = asObject(json, '')
  const selector = decodePolicySelector(object)
  const order = decodeOrder(object)
  const { inbound, outbound } = decodeRuleSet(object)
  return { selector, order, inbound, outbound }
}

/** What of a refused policy can still be trusted: whom it selects, and its place. Never throws. */
export function policyRemains(json: unknown): PolicyRemains {
  const object = attempt(() => asObject(json, ''))
  if (object === undefined) return {}
  const selector = attempt(() => decodePolicySelector(object))
  const order = attempt(() => decodeOrder(object))
  return { ...(selector && { selector }), ...(order !== undefined && { order }) }
}
