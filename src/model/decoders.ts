import { decodeWorkloadEndpoint, endpointRemains } from './endpoint.ts'
import { decodeHostEndpoint } from './host-endpoint.ts'
import { parseJson } from './json.ts'
import { type ModelKey, objectId } from './key.ts'
import { decodePolicy, policyRemains } from './policy.ts'
import { decodeProfileLabels, decodeProfileRules, decodeProfileTags } from './profile.ts'
import { attempt } from './refusal.ts'
import { decodeTier } from './tier.ts'
import type { ModelChange, Rejection } from './values.ts'

export type ObjectKey = Exclude<ModelKey, { kind: 'ready' }>

/** The object at `key` as a change of the model. Throws Refusal when the text cannot be it. */
export function decodeChange(key: ObjectKey, text: string): ModelChange {
  const id = objectId(key)
  if (key.kind === 'config') return { kind: key.kind, id, value: text }
  const json = parseJson(text)
  switch (key.kind) {
    case 'workload-endpoint':
      return { kind: key.kind, id, value: decodeWorkloadEndpoint(json, key) }
    case 'host-endpoint':
      return { kind: key.kind, id, value: decodeHostEndpoint(json, key) }
    case 'profile-rules':
      return { kind: key.kind, id, value: decodeProfileRules(json) }
    case 'profile-tags':
      return { kind: key.kind, id, value: decodeProfileTags(json) }
    case 'profile-labels':
      return { kind: key.kind, id, value: decodeProfileLabels(json) }
    case 'tier':
      return { kind: key.kind, id, value: decodeTier(json) }
    case 'policy':
      return { kind: key.kind, id, value: decodePolicy(json) }
  }
}

/** The object at `key` as broken, with what of `text` is still certain. Never throws. */
export function brokenChange(key: ObjectKey, text: string, broken: Rejection): ModelChange {
  const id = objectId(key)
  const json = attempt(() => parseJson(text))
  switch (key.kind) {
    case 'workload-endpoint':
      return { kind: key.kind, id, value: { broken, remains: endpointRemains(json) } }
    case 'policy':
      return { kind: key.kind, id, value: { broken, remains: policyRemains(json) } }
    case 'config':
      return { kind: key.kind, id, value: null }
    default:
      return { kind: key.kind, id, value: { broken, remains: {} } }
  }
}

/** The object at `key` as gone. */
export function goneChange(key: ObjectKey): ModelChange {
  return { kind: key.kind, id: objectId(key), value: null }
}
