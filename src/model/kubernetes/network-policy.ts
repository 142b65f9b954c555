import type { Cidr } from '../cidr.ts'
import { asObject, type JsonObject, listMember, member } from '../json.ts'
import { attempt, Refusal, show } from '../refusal.ts'
import { decodeIpBlock } from './ip-block.ts'
import { selectorTerms } from './label-selector.ts'
import { decodePolicyPort, type PolicyPort } from './policy-port.ts'
import { NAMESPACE_LABEL, namespaceLabel, podLabel } from './reserved-label.ts'

/** Workloads by a selector's terms, or networks. */
export type Peer = { readonly terms: readonly string[] } | { readonly nets: readonly Cidr[] }

/** One rule of a NetworkPolicy: any of the peers on any of the ports; null: whichever. */
export interface PeerRule {
  readonly peers: readonly Peer[] | null
  readonly ports: readonly PolicyPort[] | null
}

/** A NetworkPolicy; a direction that it does not isolate is null, and without a rule it lets nothing through. */
export interface NetworkPolicy {
  readonly namespace: string
  readonly name: string
  /** Which pods of its namespace, as terms of the v1 selector language. */
  readonly terms: readonly string[]
  readonly ingress: readonly PeerRule[] | null
  readonly egress: readonly PeerRule[] | null
}

type Types = { readonly ingress: boolean; readonly egress: boolean }

/** A `networking.k8s.io/v1` NetworkPolicy, by the rules of the API's own validation and defaulting. Throws Refusal. */
export function decodeNetworkPolicy(json: unknown, namespace: string, name: string): NetworkPolicy {
  const spec = specOf(json)
  const types = policyTypes(spec)
  const rules = (field: 'ingress' | 'egress', peers: 'from' | 'to') =>
    listMember(spec, field, field).map((rule, at) => decodeRule(rule, `${field}[${at}]`, peers, namespace))
  const terms = podTerms(spec)
  // The lists are read also where their direction is not isolated: the API refuses bad ones there too.
  const [ingress, egress] = [rules('ingress', 'from'), rules('egress', 'to')]
  return {
    namespace,
    name,
    terms,
    ingress: types.ingress ? ingress : null,
    egress: types.egress ? egress : null,
  }
}

/**
 * What a refused NetworkPolicy must be taken for: it isolates whom it surely may mean, in the directions that it may
 * mean, and lets nothing through. Never throws.
 */
export function closedNetworkPolicy(json: unknown, namespace: string, name: string): NetworkPolicy {
  const spec = attempt(() => specOf(json))
  const terms = spec && attempt(() => podTerms(spec))
  const types = spec && attempt(() => policyTypes(spec))
  return {
    namespace,
    name,
    terms: terms ?? [],
    ingress: (types?.ingress ?? true) ? [] : null,
    egress: (types?.egress ?? true) ? [] : null,
  }
}

function specOf(json: unknown): JsonObject {
  return asObject(member(asObject(json, ''), 'spec') ?? {}, 'spec')
}

function podTerms(spec: JsonObject): string[] {
  return selectorTerms(member(spec, 'podSelector') ?? {}, 'podSelector', podLabel)
}

/** Absent or empty: ingress, and egress where it has a rule. */
function policyTypes(spec: JsonObject): Types {
  const types = listMember(spec, 'policyTypes', 'policyTypes')
  if (types.length === 0) {
    const egress = member(spec, 'egress')
    return { ingress: true, egress: Array.isArray(egress) && egress.length > 0 }
  }
  if (types.length > 2)
    throw new Refusal('policyTypes', 'there are two types at most', 'Name Ingress, Egress or both.')
  types.forEach((type, at) => {
    if (type !== 'Ingress' && type !== 'Egress')
      throw new Refusal(`policyTypes[${at}]`, `${show(type)} is not a type`, 'Use Ingress and Egress.')
  })
  return { ingress: types.includes('Ingress'), egress: types.includes('Egress') }
}

function decodeRule(json: unknown, place: string, peersField: 'from' | 'to', namespace: string): PeerRule {
  const rule = asObject(json, place)
  const peers = listMember(rule, peersField, `${place}.${peersField}`)
  const ports = listMember(rule, 'ports', `${place}.ports`)
  return {
    peers:
      peers.length === 0
        ? null
        : peers.map((peer, at) => decodePeer(peer, `${place}.${peersField}[${at}]`, namespace)),
    ports:
      ports.length === 0 ? null : ports.map((port, at) => decodePolicyPort(port, `${place}.ports[${at}]`)),
  }
}

/** `null` means not used, as absence does. */
function decodePeer(json: unknown, place: string, namespace: string): Peer {
  const peer = asObject(json, place)
  const [block, pods, namespaces] = ['ipBlock', 'podSelector', 'namespaceSelector'].map(
    field => member(peer, field) ?? null,
  )
  if (block !== null) {
    if (pods !== null || namespaces !== null)
      throw new Refusal(place, 'an ipBlock stands alone', 'Write the selectors as a peer of their own.')
    return { nets: decodeIpBlock(asObject(block, `${place}.ipBlock`), `${place}.ipBlock`) }
  }
  if (pods === null && namespaces === null)
    throw new Refusal(
      place,
      'a peer must say something',
      'Name a podSelector, a namespaceSelector or an ipBlock.',
    )
  const podTerms = pods === null ? [] : selectorTerms(pods, `${place}.podSelector`, podLabel)
  if (namespaces === null) return { terms: [namespaceTerm(namespace), ...podTerms] }
  const inNamespaces = selectorTerms(namespaces, `${place}.namespaceSelector`, namespaceLabel)
  return { terms: [`has(${NAMESPACE_LABEL})`, ...inNamespaces, ...podTerms] }
}

/** All pods of a namespace. */
export function namespaceTerm(namespace: string): string {
  return `${NAMESPACE_LABEL} == '${namespace}'`
}
