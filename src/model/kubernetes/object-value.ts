import { refusalOf } from '../../source/event.ts'
import { parseJson } from '../json.ts'
import { Refusal } from '../refusal.ts'

/** The JSON value of an object as its source tells it. Throws Refusal, also for what the source refused. */
export function objectValue(text: string): unknown {
  const reason = refusalOf(text)
  if (reason === null) return parseJson(text)
  throw new Refusal('', reason, 'Correct the object where it is kept.')
}
