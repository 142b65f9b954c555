import { stringify } from 'yaml'
import { parseJson } from './json.ts'
import { parseKey } from './key.ts'
import {
  API_VERSION,
  type Metadata,
  OBJECT_KINDS,
  type ObjectKind,
  objectName,
  objectOfKey,
} from './object-kind.ts'
import { attempt } from './refusal.ts'

/** One object as the store holds it. */
export interface StoredObject {
  readonly apiVersion: string
  readonly kind: ObjectKind
  readonly metadata: Metadata
  /** Fields whose stored value cannot be read are left out. */
  readonly spec: Readonly<Record<string, unknown>>
  /** Keys of this object whose value is not JSON, or not of the shape of a spec. */
  readonly unreadable: readonly string[]
}

/** The objects that a store's entries are, sorted by kind and name. Keys of no object are left out. */
export function storedObjects(entries: Iterable<readonly [key: string, value: string]>): StoredObject[] {
  const objects = new Map<string, StoredObject & { spec: Record<string, unknown>; unreadable: string[] }>()
  for (const [text, value] of entries) {
    const reading = parseKey(text)
    const owner = reading.read === 'key' && reading.fault === null ? objectOfKey(reading.key) : null
    if (owner === null) continue
    const { kind, metadata, field } = owner
    const id = `${kind} ${objectName(kind, metadata)}`
    const object = objects.get(id) ?? { apiVersion: API_VERSION, kind, metadata, spec: {}, unreadable: [] }
    objects.set(id, object)
    const json = kind === 'Config' ? value : attempt(() => parseJson(value))
    if (field !== '' && json !== undefined) object.spec[field] = json
    else if (typeof json === 'object' && json !== null && !Array.isArray(json)) object.spec = { ...json }
    else object.unreadable.push(text)
  }
  const order = Object.keys(OBJECT_KINDS)
  const rank = ({ kind }: StoredObject) => order.indexOf(kind)
  return [...objects]
    .sort(([a, x], [b, y]) => rank(x) - rank(y) || (a < b ? -1 : 1))
    .map(([, object]) => object)
}

/** YAML documents that `parseObjects` reads back as the same objects. A value that cannot be read is a comment. */
export function printObjects(objects: readonly StoredObject[]): string {
  return objects
    .map(({ unreadable, ...object }) => {
      const notes = unreadable.map(key => `# ${key} holds a value that cannot be read\n`).join('')
      return `---\n${notes}${stringify(object, { lineWidth: 0 })}`
    })
    .join('')
}
