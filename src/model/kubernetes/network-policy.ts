import { asObject, type JsonObject, listMember } from '../json.ts'
import { attempt, Refusal, show } from '../refusal.ts'
import { field, structField, structOf } from './go-json.ts'
import { decodeLabelSelector } from './label-selector.ts'
import { decodePeer, type PolicyPeer } from './policy-peer.ts'
import { decodePolicyPort, type PolicyPort } from './policy-port.ts'
import { inNamespace, podLabel } from './reserved-label.ts'

export type PolicyDirection = 'ingress' | 'egress'

/** One rule: what comes from (or goes to) any of the peers at any of the ports. An empty list asks nothing. */
export interface PolicyRule {
  readonly peers: readonly PolicyPeer[]
  readonly ports: readonly PolicyPort[]
}

export interface NetworkPolicy {
  readonly namespace: string
  /** The v1 selector of the pods it isolates. */
  readonly selector: string
  /** What is allowed; null where the policy does not isolate. */
  readonly ingress: readonly PolicyRule[] | null
  readonly egress: readonly PolicyRule[] | null
}

function decodeRules(spec: JsonObject, direction: PolicyDirection, namespace: string): readonly PolicyRule[] {
  const peersName = direction === 'ingress' ? 'from' : 'to'
  return listMember(spec, direction, `spec.${direction}`).map((json, at) => {
    const place = `spec.${direction}[${at}]`
    const rule = structOf(json, place)
    const peers = listMember(rule, peersName, `${place}.${peersName}`)
    const ports = listMember(rule, 'ports', `${place}.ports`)
    return {
      peers: peers.map((peer, index) => decodePeer(peer, `${place}.${peersName}[${index}]`, namespace)),
      ports: ports.map((port, index) => decodePolicyPort(port, `${place}.ports[${index}]`)),
    }
  })
}

/** Without types a policy isolates for ingress, and for egress when it has an egress rule. Throws Refusal. */
function decodeTypes(spec: JsonObject): ReadonlySet<unknown> {
  const types = listMember(spec, 'policyTypes', 'spec.policyTypes')
  if (types.length === 0)
    return new Set(listMember(spec, 'egress', 'spec.egress').length > 0 ? ['Ingress', 'Egress'] : ['Ingress'])
  if (types.length > 2)
    throw new Refusal('spec.policyTypes', 'there are only two types', 'Write each type once at most.')
  types.forEach((type, at) => {
    if (type !== 'Ingress' && type !== 'Egress')
      throw new Refusal(
        `spec.policyTypes[${at}]`,
        `${show(type)} is not a policy type`,
        'Write Ingress or Egress.',
      )
  })
  return new Set(types)
}

function decodeSelector(spec: JsonObject, namespace: string): string {
  const conditions = decodeLabelSelector(field(spec, 'podSelector'), 'spec.podSelector', podLabel)
  return [inNamespace(namespace), ...conditions].join(' && ')
}

/** A NetworkPolicy's JSON value. Throws Refusal for whatever the API server refuses. */
export function decodeNetworkPolicy(json: unknown, namespace: string): NetworkPolicy {
  const spec = structField(asObject(json, ''), 'spec', 'spec')
  const selector = decodeSelector(spec, namespace)
  const ingress = decodeRules(spec, 'ingress', namespace)
  const egress = decodeRules(spec, 'egress', namespace)
  const types = decodeTypes(spec)
  return {
    namespace,
    selector,
    ingress: types.has('Ingress') ? ingress : null,
    egress: types.has('Egress') ? egress : null,
  }
}

/**
 * What a refused NetworkPolicy still isolates: the pods of its selector, or its whole namespace where that cannot be
 * read, in the directions of its types, or in both. It allows nothing. Never throws.
 */
export function closedPolicy(json: unknown, namespace: string): NetworkPolicy {
  const spec = attempt(() => structField(asObject(json, ''), 'spec', 'spec'))
  const selector = spec && attempt(() => decodeSelector(spec, namespace))
  const types = spec && attempt(() => decodeTypes(spec))
  return {
    namespace,
    selector: selector ?? inNamespace(namespace),
    ingress: types === undefined || types.has('Ingress') ? [] : null,
    egress: types === undefined || types.has('Egress') ? [] : null,
  }
}
