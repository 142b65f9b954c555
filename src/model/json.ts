import { Refusal, show } from './refusal.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** Text to a JSON value. Throws Refusal. The parser of V8 does not recurse, so nesting cannot crash it. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const position = /at position (\d+)/.exec(String(error))?.[1]
    const where = position === undefined ? '' : ` (at character ${Number(position) + 1})`
    throw new Refusal('', `the value is not JSON${where}`, 'Write the value again as valid JSON.')
  }
}

/** Throws Refusal when it is anything but a JSON object. */
export function asObject(json: unknown, place: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  const what = place === '' ? 'the value' : 'this'
  throw new Refusal(place, `${what} must be an object, not ${show(json)}`, 'Write it as a JSON object.')
}

/** A member of an object, `undefined` when absent. Only the object's own: a store must not reach prototypes. */
export function member(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** A list member; absent and null mean the empty list, as Go writers store an empty one as null. */
export function listMember(object: JsonObject, name: string, place: string): readonly unknown[] {
  const value = member(object, name)
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value
  throw new Refusal(place, `this must be a list, not ${show(value)}`, 'Write it as a JSON list.')
}
