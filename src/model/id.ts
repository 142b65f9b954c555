import { Refusal, show } from './refusal.ts'

/** Ids of hosts, workloads, endpoints, profiles, tiers and policies, and tags. */
const ID = /^[A-Za-z0-9_.-]+$/

export function isId(text: string): boolean {
  return ID.test(text)
}

/** Throws Refusal unless `value` is an id; `what` names it: `a tag`. */
export function decodeId(value: unknown, what: string, place: string): string {
  if (typeof value === 'string' && isId(value)) return value
  throw new Refusal(
    place,
    `${show(value)} is not ${what}`,
    'Use a non-empty text of letters, digits, `_`, `.` and `-` only.',
  )
}

/**
 * A stand-in id for a name that is none, so that the object it names can still be told apart and closed.
 * One to one, and never equal to a valid id.
 */
export function standInId(name: string): string {
  if (isId(name)) return name
  if (name === '') return '%'
  return name.replace(/[^A-Za-z0-9_.-]/g, char => `%${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
