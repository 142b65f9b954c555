import { objectKey } from './object-key.ts'
import { trimObject } from './trim.ts'
import type { WatchedResource, Witness } from './watched.ts'

/** An object of a listing or of a watch, as far as it is kept. */
export interface SeenObject {
  readonly key: string
  /** The trimmed object. */
  readonly text: string
  readonly mark: Witness
}

/** Throws an Error when it is no object with a name: then nothing that came with it can be believed either. */
export function seenObject(resource: WatchedResource, object: unknown): SeenObject {
  const fields = object as Readonly<Record<string, unknown>> | null | undefined
  const metadata = (fields?.metadata ?? {}) as Readonly<Record<string, unknown>>
  const { name, namespace = '', uid = '', resourceVersion } = metadata
  const inNamespace = resource !== 'namespaces'
  if (!isName(name) || (inNamespace ? !isName(namespace) : namespace !== ''))
    throw new Error(`an object without a name among the ${resource}`)
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    throw new Error(`${resource} ${name} without a resource version`)
  const mark = { resource, namespace: String(namespace), name, uid: String(uid), version: resourceVersion }
  return { key: objectKey(resource, mark.namespace, name), text: trimObject(resource, fields!), mark }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[^/\p{Cc}]+$/u.test(value)
}
