import { type JsonObject, member } from './json.ts'
import { Refusal, show } from './refusal.ts'

/** The `order` of a tier or policy: a number; `Infinity` when absent, null or "default". Throws Refusal. */
export function decodeOrder(object: JsonObject): number {
  const order = member(object, 'order')
  if (order === undefined || order === null || order === 'default') return Number.POSITIVE_INFINITY
  // JSON such as 1e999 is read as Infinity, which would sort among the defaults unnoticed.
  if (typeof order === 'number' && Number.isFinite(order)) return order
  throw new Refusal('order', `${show(order)} is not an order`, 'Write a number, or "default" to sort last.')
}
