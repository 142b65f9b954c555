/** A kind of object as the API's paths name it. */
export interface ApiResource {
  /** Empty for the core. */
  readonly group: string
  readonly version: string
  readonly plural: string
}

export const NAMESPACES: ApiResource = { group: '', version: 'v1', plural: 'namespaces' }
export const PODS: ApiResource = { group: '', version: 'v1', plural: 'pods' }
export const EVENTS: ApiResource = { group: '', version: 'v1', plural: 'events' }
export const NETWORK_POLICIES: ApiResource = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
}
export const LEASES: ApiResource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' }

/** Answers without any right, and with little work: the proof that a server lives. */
export const VERSION_PATH = '/version'

export interface ApiPlace {
  /** Absent or empty: all namespaces, or an object in none. */
  readonly namespace?: string
  /** Absent: all of them. */
  readonly name?: string
}

export type ApiQuery = Readonly<Record<string, string | number | undefined>>

/** The path below the API's root. What stands in a name cannot leave its place in it. */
export function apiPath(resource: ApiResource, place: ApiPlace = {}, query: ApiQuery = {}): string {
  const { group, version, plural } = resource
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const within = place.namespace ? `/namespaces/${segment(place.namespace)}` : ''
  const name = place.name === undefined ? '' : `/${segment(place.name)}`
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value))
  return `${root}${within}/${plural}${name}${search.size > 0 ? `?${search}` : ''}`
}

/** Encoded dots are dots to a server, and an empty name would mean all objects. */
function segment(name: string): string {
  if (/^\.{0,2}$/.test(name)) throw new Error(`${JSON.stringify(name)} is no name of an object`)
  return encodeURIComponent(name)
}
