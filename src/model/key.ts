import { READY_KEY, ROOT } from '../source/v1-tree.ts'
import { isId, standInId } from './id.ts'
import { Refusal, show } from './refusal.ts'

/** A key of the v1 tree that holds part of the model. */
export type ModelKey =
  | { readonly kind: 'ready' }
  /** `host` null: for the whole cluster. */
  | { readonly kind: 'config'; readonly host: string | null; readonly name: string }
  | {
      readonly kind: 'workload-endpoint'
      readonly host: string
      readonly orchestrator: string
      readonly workload: string
      readonly endpoint: string
    }
  | { readonly kind: 'host-endpoint'; readonly host: string; readonly endpoint: string }
  | { readonly kind: 'profile-rules' | 'profile-tags' | 'profile-labels'; readonly profile: string }
  | { readonly kind: 'tier'; readonly tier: string }
  | { readonly kind: 'policy'; readonly tier: string; readonly policy: string }

/**
 * What a key says. A `key` with a `fault` is of a known shape with a name that is no id: its object counts
 * as broken, under a stand-in id. `ignored` belongs to others; `refused` lies where only the model may lie.
 */
export type KeyReading =
  | { readonly read: 'key'; readonly key: ModelKey; readonly fault: Refusal | null }
  | { readonly read: 'ignored'; readonly reason: string }
  | { readonly read: 'refused'; readonly refusal: Refusal }

const NOT_OURS: KeyReading = { read: 'ignored', reason: 'the key is not part of the policy model' }

function refused(problem: string): KeyReading {
  return {
    read: 'refused',
    refusal: new Refusal('', problem, 'Delete the key, or write it where the v1 tree has it.'),
  }
}

function found(key: ModelKey, names: readonly string[]): KeyReading {
  const bad = names.find(name => !isId(name))
  if (bad === undefined) return { read: 'key', key, fault: null }
  const remedy = 'Store it again under names of letters, digits, `_`, `.` and `-` only.'
  return { read: 'key', key, fault: new Refusal('', `the key's part ${show(bad)} is not an id`, remedy) }
}

function foundConfig(host: string | null, name: string): KeyReading {
  const bad = [host ?? '_', name].find(part => !isId(part))
  if (bad !== undefined) return refused(`the key's part ${show(bad)} is not an id`)
  return { read: 'key', key: { kind: 'config', host, name }, fault: null }
}

function readHostKey(parts: readonly string[]): KeyReading {
  const [host = '', kind] = parts
  if (kind === 'config' && parts.length === 3) return foundConfig(host, parts[2]!)
  if (kind === 'workload') {
    const [, , orchestrator = '', workload = '', word, endpoint = ''] = parts
    if (parts.length !== 6 || word !== 'endpoint') return refused('no workload endpoint can have this key')
    const names = [host, orchestrator, workload, endpoint]
    const key: ModelKey = {
      kind: 'workload-endpoint',
      host: standInId(host),
      orchestrator: standInId(orchestrator),
      workload: standInId(workload),
      endpoint: standInId(endpoint),
    }
    return found(key, names)
  }
  if (kind === 'endpoint') {
    if (parts.length !== 3) return refused('no host endpoint can have this key')
    const names = [host, parts[2]!]
    return found({ kind: 'host-endpoint', host: standInId(host), endpoint: standInId(parts[2]!) }, names)
  }
  return NOT_OURS
}

function readPolicyKey(parts: readonly string[]): KeyReading {
  const [kind, owner = '', part] = parts
  if (kind === 'profile' && parts.length === 3 && (part === 'rules' || part === 'tags' || part === 'labels'))
    return found({ kind: `profile-${part}`, profile: standInId(owner) }, [owner])
  if (kind === 'tier' && parts.length === 3 && part === 'metadata')
    return found({ kind: 'tier', tier: standInId(owner) }, [owner])
  if (kind === 'tier' && parts.length >= 4 && part === 'policy') {
    // A slash in a policy's name makes more parts; the policy must still deny, so it keeps its place.
    const policy = parts.slice(3).join('/')
    return found({ kind: 'policy', tier: standInId(owner), policy: standInId(policy) }, [owner, policy])
  }
  return refused('no profile, tier or policy can have this key')
}

/** Reads a key of the store. Never throws. */
export function parseKey(text: string): KeyReading {
  if (!text.startsWith(ROOT)) return NOT_OURS
  if (text === READY_KEY) return { read: 'key', key: { kind: 'ready' }, fault: null }
  const parts = text.slice(ROOT.length).split('/')
  const branch = parts.shift()
  if (branch === 'host') return readHostKey(parts)
  if (branch === 'policy') return readPolicyKey(parts)
  if (branch === 'config' && parts.length === 1) return foundConfig(null, parts[0]!)
  return NOT_OURS
}

/** The key's text. Throws Refusal when a part of it is not an id. */
export function printKey(key: ModelKey): string {
  const text = keyText(key)
  const reading = parseKey(text)
  if (reading.read === 'key' && reading.fault === null && reading.key.kind === key.kind) return text
  const names = Object.values(key).slice(1).map(show).join(', ')
  throw new Refusal(
    '',
    `${names} cannot stand in a key`,
    'Use names of letters, digits, `_`, `.` and `-` only.',
  )
}

function keyText(key: ModelKey): string {
  switch (key.kind) {
    case 'ready':
      return READY_KEY
    case 'config':
      return key.host === null ? `${ROOT}config/${key.name}` : `${ROOT}host/${key.host}/config/${key.name}`
    case 'workload-endpoint':
      return `${ROOT}host/${key.host}/workload/${key.orchestrator}/${key.workload}/endpoint/${key.endpoint}`
    case 'host-endpoint':
      return `${ROOT}host/${key.host}/endpoint/${key.endpoint}`
    case 'tier':
      return `${ROOT}policy/tier/${key.tier}/metadata`
    case 'policy':
      return `${ROOT}policy/tier/${key.tier}/policy/${key.policy}`
    default:
      return `${ROOT}policy/profile/${key.profile}/${key.kind.slice('profile-'.length)}`
  }
}

/** The id under which the model knows the object of a key. */
export function objectId(key: Exclude<ModelKey, { kind: 'ready' }>): string {
  switch (key.kind) {
    case 'config':
      return key.host === null ? key.name : `${key.host}/${key.name}`
    case 'workload-endpoint':
      return `${key.host}/${key.orchestrator}/${key.workload}/${key.endpoint}`
    case 'host-endpoint':
      return `${key.host}/${key.endpoint}`
    case 'tier':
      return key.tier
    case 'policy':
      return `${key.tier}/${key.policy}`
    default:
      return key.profile
  }
}
