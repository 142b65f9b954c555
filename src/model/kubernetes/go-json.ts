import { asObject, type JsonObject, member } from '../json.ts'

/** Kubernetes reads JSON into Go structs: there null means absent, also as the element of a list. */

/** A member, `undefined` when absent or null. */
export function field(object: JsonObject, name: string): unknown {
  return member(object, name) ?? undefined
}

/** An object; absent and null mean the empty one. Throws Refusal. */
export function structOf(value: unknown, place: string): JsonObject {
  return asObject(value ?? {}, place)
}

/** A member that is an object; absent and null mean the empty one. Throws Refusal. */
export function structField(object: JsonObject, name: string, place: string): JsonObject {
  return structOf(member(object, name), place)
}
