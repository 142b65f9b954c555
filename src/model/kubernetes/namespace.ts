import { asObject } from '../json.ts'
import { decodeObjectLabels } from './object-metadata.ts'
import { namespaceLabel } from './reserved-label.ts'

/** The label that says a namespace's name; the API server keeps it so. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

/** A Namespace's JSON value to the labels that its pods inherit, as the v1 tree has them. Throws Refusal. */
export function namespaceLabelsText(json: unknown, name: string): string {
  const labels = new Map(decodeObjectLabels(asObject(json, ''))).set(NAME_LABEL, name)
  const keys = [...labels.keys()].sort()
  return JSON.stringify(Object.fromEntries(keys.map(key => [namespaceLabel(key), labels.get(key)])))
}
