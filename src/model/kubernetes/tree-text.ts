import { refused } from '../../source/event.ts'
import { ROOT } from '../../source/v1-tree.ts'
import { allOf } from './label-selector.ts'
import type { NetworkPolicy } from './network-policy.ts'
import { namespaceTerm } from './network-policy.ts'
import type { Pod } from './pod.ts'
import type { PodProfile } from './pod-profile.ts'
import { type NumbersOf, policyRules, type RuleJson } from './policy-rules.ts'
import type { PodAttachment } from './problem.ts'
import { ANNOTATION_LABEL, NAMESPACE_LABEL, namespaceLabel } from './reserved-label.ts'

/**
 * The objects of the translation as keys and values of the v1 tree. NetworkPolicy takes two tiers, one for each direction:
 * a v1 policy has no types, and in a single tier what one policy must pass on in the direction that it does not
 * isolate would undo the isolation by another.
 */
const TIERS = { ingress: 'kubernetes-ingress', egress: 'kubernetes-egress' } as const

export type Entry = readonly [key: string, value: string]

const ALLOW: RuleJson = { action: 'allow' }
const NEXT_TIER: RuleJson = { action: 'next-tier' }

/** They stand also while no policy is there. */
export const TIER_ENTRIES: readonly Entry[] = [
  [`${ROOT}policy/tier/${TIERS.ingress}/metadata`, JSON.stringify({ order: 1000 })],
  [`${ROOT}policy/tier/${TIERS.egress}/metadata`, JSON.stringify({ order: 2000 })],
]

export function endpointKey(node: string, namespace: string, name: string): string {
  return `${ROOT}host/${node}/workload/k8s/${namespace}.${name}/endpoint/eth0`
}

/** A pod on a node as its workload endpoint. What the container runtime says of it counts more than what the API says. */
export function endpointEntry(
  pod: Pod & { readonly node: string },
  profile: PodProfile,
  attachment: PodAttachment | null,
): Entry {
  const addresses = attachment?.addresses ?? pod.addresses
  const { annotation } = profile
  const marks = annotation && { [ANNOTATION_LABEL]: 'rules' in annotation ? 'valid' : 'refused' }
  const value = {
    state: 'active',
    name: attachment?.interface ?? '',
    ...((attachment?.mac ?? null) === null ? {} : { mac: attachment!.mac }),
    profile_ids: [profile.id],
    ipv4_nets: addresses.filter(address => !address.includes(':')).map(address => `${address}/32`),
    ipv6_nets: addresses.filter(address => address.includes(':')).map(address => `${address}/128`),
    labels: { ...Object.fromEntries(pod.labels), [NAMESPACE_LABEL]: pod.namespace, ...marks },
  }
  return [endpointKey(pod.node, pod.namespace, pod.name), JSON.stringify(value)]
}

/**
 * A profile's parts. `labels` are those of its namespace; null: the namespace is not known yet, so which selectors pick
 * its pods is in doubt.
 */
export function profileEntries(profile: PodProfile, labels: ReadonlyMap<string, string> | null): Entry[] {
  const { id, namespace, inbound, tags } = profile
  const key = `${ROOT}policy/profile/${id}`
  const inherited =
    labels && Object.fromEntries([...labels].map(([name, text]) => [namespaceLabel(name), text]))
  return [
    [`${key}/rules`, JSON.stringify({ inbound_rules: inbound, outbound_rules: [ALLOW] })],
    [
      `${key}/labels`,
      inherited === null ? refused(`namespace ${namespace} is not known`) : JSON.stringify(inherited),
    ],
    ...(tags === null ? [] : [[`${key}/tags`, JSON.stringify(tags)] as const]),
  ]
}

export interface CombineOptions {
  readonly annotationPolicy: boolean
  readonly annotationCombine: 'narrow' | 'add'
}

/**
 * A NetworkPolicy's share of each tier. Where an annotation may have its say, pods with a valid one are picked by a policy of
 * their own: by `narrow` what NetworkPolicy allows goes on to the profile, which is the annotation; by `add` what it
 * does not allow does. Pods with a refused annotation are picked by neither, and their profile lets nothing in.
 */
export function policyEntries(
  policy: NetworkPolicy,
  numbersOf: (direction: 'ingress' | 'egress') => NumbersOf,
  { annotationPolicy, annotationCombine }: CombineOptions,
): Entry[] {
  const { namespace, name, ingress, egress } = policy
  const picked = [namespaceTerm(namespace), ...policy.terms]
  const entry = (
    tier: string,
    id: string,
    terms: readonly string[],
    inbound: RuleJson[],
    outbound: RuleJson[],
  ) =>
    [
      `${ROOT}policy/tier/${tier}/policy/${id}`,
      JSON.stringify({ selector: allOf(terms), inbound_rules: inbound, outbound_rules: outbound }),
    ] as const
  const id = `${namespace}.${name}`
  const entries: Entry[] = []
  if (egress !== null) {
    const outbound = policyRules(egress, 'egress', 'allow', numbersOf('egress'))
    entries.push(entry(TIERS.egress, id, picked, [NEXT_TIER], outbound))
  }
  if (ingress === null) return entries
  const admitted = (action: RuleJson['action']) =>
    policyRules(ingress, 'ingress', action, numbersOf('ingress'))
  const plain = annotationPolicy ? [...picked, `!has(${ANNOTATION_LABEL})`] : picked
  entries.push(entry(TIERS.ingress, id, plain, admitted('allow'), [NEXT_TIER]))
  if (!annotationPolicy) return entries
  const inbound = annotationCombine === 'narrow' ? admitted('next-tier') : [...admitted('allow'), NEXT_TIER]
  const annotated = [...picked, `${ANNOTATION_LABEL} == 'valid'`]
  // No Kubernetes name holds an underscore, so this is nobody's id.
  return [...entries, entry(TIERS.ingress, `annotated_${id}`, annotated, inbound, [NEXT_TIER])]
}
