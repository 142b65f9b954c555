import { asObject, type JsonObject, member } from './json.ts'
import { Refusal, show } from './refusal.ts'

const LABEL_KEY = /^[A-Za-z0-9_./-]+$/

/** Shared by every endpoint and profile without labels. */
const NO_LABELS: ReadonlyMap<string, string> = new Map()

/** A JSON object of text to text; absent and null mean no labels. Throws Refusal. */
export function decodeLabels(json: unknown, place: string): ReadonlyMap<string, string> {
  if (json === undefined || json === null) return NO_LABELS
  const object = asObject(json, place)
  const keys = Object.keys(object)
  if (keys.length === 0) return NO_LABELS
  const labels = new Map<string, string>()
  for (const key of keys) {
    const value = object[key]
    if (!LABEL_KEY.test(key))
      throw new Refusal(
        place,
        `${show(key)} is not a label name`,
        'Use a non-empty name of letters, digits, `_`, `.`, `-` and `/` only.',
      )
    if (typeof value !== 'string')
      throw new Refusal(
        place,
        `the label ${show(key)} has a value that is no text: ${show(value)}`,
        'Put the value into quotes.',
      )
    labels.set(key, value)
  }
  return labels
}

/** The `labels` member of an endpoint. */
export function decodeLabelsMember(object: JsonObject): ReadonlyMap<string, string> {
  return decodeLabels(member(object, 'labels'), 'labels')
}
