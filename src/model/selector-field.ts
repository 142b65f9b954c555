import { Refusal, show } from './refusal.ts'
import { parseSelector, type Selector } from './selector.ts'
import { SelectorError } from './selector-token.ts'

/** A stored selector. Throws Refusal with the place and the column. */
export function decodeSelector(value: unknown, place: string): Selector {
  if (typeof value !== 'string')
    throw new Refusal(
      place,
      `a selector is a text, not ${show(value)}`,
      "Write a selector such as `role == 'db'`.",
    )
  try {
    return parseSelector(value)
  } catch (error) {
    if (error instanceof SelectorError) throw new Refusal(place, error.message, error.remedy)
    throw error
  }
}
