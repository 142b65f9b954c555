import { type JsonObject, member } from '../json.ts'
import { Refusal } from '../refusal.ts'
import { field, structField } from './go-json.ts'
import { decodeLabelKey, decodeLabelValue } from './object-name.ts'
import { uidOf } from './pod-attachment.ts'

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

/** Set on the object that mirrors a static pod: the pod's own uid. */
const MIRRORED = 'kubernetes.io/config.mirror'

/** The uid of the pod that an object tells of, as its node's runtime knows it; null where it names none. */
export function decodePodUid(object: JsonObject): string | null {
  const metadata = structField(object, 'metadata', 'metadata')
  const mirrored = field(structField(metadata, 'annotations', 'metadata.annotations'), MIRRORED)
  return uidOf({ uid: mirrored ?? field(metadata, 'uid') })
}
