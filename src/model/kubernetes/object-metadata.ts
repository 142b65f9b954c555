import { type JsonObject, member } from '../json.ts'
import { Refusal } from '../refusal.ts'
import { field, structField } from './go-json.ts'
import { decodeLabelKey, decodeLabelValue } from './object-name.ts'

/** The labels of an object, by key in order. Throws Refusal for what the API server refuses. */
export function decodeObjectLabels(object: JsonObject): ReadonlyMap<string, string> {
  const metadata = structField(object, 'metadata', 'metadata')
  const labels = structField(metadata, 'labels', 'metadata.labels')
  return new Map(
    Object.keys(labels)
      .sort()
      .map(key => [
        decodeLabelKey(key, 'metadata.labels'),
        decodeLabelValue(member(labels, key), `metadata.labels[${key}]`),
      ]),
  )
}

/** An annotation of an object, or null. Throws Refusal when it is no text. */
export function decodeObjectAnnotation(object: JsonObject, name: string): string | null {
  const metadata = structField(object, 'metadata', 'metadata')
  const annotation = field(structField(metadata, 'annotations', 'metadata.annotations'), name)
  if (annotation === undefined) return null
  if (typeof annotation === 'string') return annotation
  throw new Refusal(`metadata.annotations[${name}]`, 'an annotation is a text', 'Put the value into quotes.')
}
