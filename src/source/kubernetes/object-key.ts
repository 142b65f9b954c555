/**
 * The keys under which Kubernetes objects come as events: `/kubernetes/pods/NAMESPACE/NAME`. A value is the object's
 * JSON as text, trimmed or not.
 */
export type ObjectResource = 'namespaces' | 'pods' | 'networkpolicies' | 'nodes'

export interface ObjectKey {
  readonly resource: ObjectResource
  /** Empty for what lies in no namespace. */
  readonly namespace: string
  readonly name: string
}

const ROOT = '/kubernetes/'
const IN_NAMESPACES: ReadonlySet<string> = new Set<ObjectResource>(['pods', 'networkpolicies'])
const ON_THEIR_OWN: ReadonlySet<string> = new Set<ObjectResource>(['namespaces', 'nodes'])

export function objectKey(resource: ObjectResource, namespace: string, name: string): string {
  return IN_NAMESPACES.has(resource)
    ? `${ROOT}${resource}/${namespace}/${name}`
    : `${ROOT}${resource}/${name}`
}

/** The parts of a key that `objectKey` made; null for any other text. */
export function parseObjectKey(key: string): ObjectKey | null {
  if (!key.startsWith(ROOT)) return null
  const [resource = '', ...names] = key.slice(ROOT.length).split('/')
  if (names.includes('')) return null
  if (IN_NAMESPACES.has(resource) && names.length === 2)
    return { resource: resource as ObjectResource, namespace: names[0]!, name: names[1]! }
  if (ON_THEIR_OWN.has(resource) && names.length === 1)
    return { resource: resource as ObjectResource, namespace: '', name: names[0]! }
  return null
}
