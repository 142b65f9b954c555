import type { Broken } from '../model/values.ts'

/** Whether the model could not read this value and has no last good version of it. */
export function isBroken<Value extends object, Remains>(
  value: Value | Broken<Remains>,
): value is Broken<Remains> {
  return 'broken' in value
}
