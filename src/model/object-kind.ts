import { type ModelKey, printKey } from './key.ts'

/** The kinds of object that people write as YAML, and which keys of the v1 tree each one is. */

export const API_VERSION = 'podfence/v1'

export type ObjectKind = 'WorkloadEndpoint' | 'HostEndpoint' | 'Profile' | 'Tier' | 'Policy' | 'Config'

export type Metadata = Readonly<Record<string, string>>

interface KindShape {
  /** Names under `metadata`, in the order of the object's full name; one that may be left out comes first. */
  readonly names: readonly string[]
  readonly optional?: string
  keys(names: Metadata): readonly ModelKey[]
}

export const OBJECT_KINDS: Readonly<Record<ObjectKind, KindShape>> = {
  WorkloadEndpoint: {
    names: ['host', 'orchestrator', 'workload', 'endpoint'],
    keys: ({ host = '', orchestrator = '', workload = '', endpoint = '' }) => [
      { kind: 'workload-endpoint', host, orchestrator, workload, endpoint },
    ],
  },
  HostEndpoint: {
    names: ['host', 'endpoint'],
    keys: ({ host = '', endpoint = '' }) => [{ kind: 'host-endpoint', host, endpoint }],
  },
  Profile: {
    names: ['name'],
    keys: ({ name = '' }) => [
      { kind: 'profile-tags', profile: name },
      { kind: 'profile-rules', profile: name },
      { kind: 'profile-labels', profile: name },
    ],
  },
  Tier: { names: ['name'], keys: ({ name = '' }) => [{ kind: 'tier', tier: name }] },
  Policy: {
    names: ['tier', 'name'],
    keys: ({ tier = '', name = '' }) => [{ kind: 'policy', tier, policy: name }],
  },
  Config: {
    names: ['host', 'name'],
    optional: 'host',
    keys: ({ host, name = '' }) => [{ kind: 'config', host: host ?? null, name }],
  },
}

/** The kind as written here for a word of any case, also in the plural: `policies` is Policy. Null: no such kind. */
export function objectKind(word: string): ObjectKind | null {
  const plain = word.toLowerCase()
  const kinds = Object.keys(OBJECT_KINDS) as ObjectKind[]
  return (
    kinds.find(kind => {
      const name = kind.toLowerCase()
      return plain === name || plain === `${name}s` || plain === `${name.replace(/y$/, 'ie')}s`
    }) ?? null
  )
}

/** All keys that the object is made of. Throws Refusal when a name is no id. */
export function objectKeys(kind: ObjectKind, metadata: Metadata): string[] {
  return OBJECT_KINDS[kind].keys(metadata).map(printKey)
}

/** The object's full name: its names joined with a slash. */
export function objectName(kind: ObjectKind, metadata: Metadata): string {
  return OBJECT_KINDS[kind].names
    .map(name => metadata[name])
    .filter(name => name !== undefined)
    .join('/')
}

/** `Policy k8s/web` for people. */
export function printObjectName(kind: ObjectKind, metadata: Metadata): string {
  return `${kind} ${objectName(kind, metadata)}`
}

/** The names out of a full name, or null when it has too many or too few parts. */
export function objectMetadata(kind: ObjectKind, name: string): Metadata | null {
  const { names, optional } = OBJECT_KINDS[kind]
  const parts = name.split('/')
  const fitting = parts.length === names.length - 1 ? names.filter(one => one !== optional) : names
  if (parts.length !== fitting.length) return null
  return Object.fromEntries(fitting.map((one, at) => [one, parts[at]!]))
}

/** The object that a key belongs to, and which field of its spec the key is (`''`: the whole spec). Null: of no object. */
export function objectOfKey(
  key: ModelKey,
): { readonly kind: ObjectKind; readonly metadata: Metadata; readonly field: string } | null {
  switch (key.kind) {
    case 'ready':
      return null
    case 'config': {
      const { host, name } = key
      return { kind: 'Config', metadata: { ...(host === null ? {} : { host }), name }, field: 'value' }
    }
    case 'workload-endpoint': {
      const { kind: _, ...metadata } = key
      return { kind: 'WorkloadEndpoint', metadata, field: '' }
    }
    case 'host-endpoint': {
      const { kind: _, ...metadata } = key
      return { kind: 'HostEndpoint', metadata, field: '' }
    }
    case 'tier':
      return { kind: 'Tier', metadata: { name: key.tier }, field: '' }
    case 'policy':
      return { kind: 'Policy', metadata: { tier: key.tier, name: key.policy }, field: '' }
    default: {
      const field = key.kind.slice('profile-'.length)
      return { kind: 'Profile', metadata: { name: key.profile }, field }
    }
  }
}
