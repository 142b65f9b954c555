import { asObject } from './json.ts'
import { decodeOrder } from './order.ts'
import type { Tier } from './values.ts'

/** A tier's metadata. Throws Refusal. */
export function decodeTier(json: unknown): Tier {
  return { order: decodeOrder(asObject(json, '')) }
}
