import type { KeyChange } from '../source/event.ts'
import { READY_KEY, ROOT } from '../source/v1-tree.ts'
import { POD_BRIDGE } from './node.ts'
import type { LabPod } from './pod.ts'

/** A rule as the v1 tree writes it: `{ action: 'allow', protocol: 'tcp', dst_ports: [80] }`. */
export type RuleObject = Readonly<Record<string, unknown>>

export interface EndpointWords {
  readonly pod: LabPod
  readonly profiles?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly state?: 'active' | 'inactive'
  /** Names the bridge instead of the pod's port of it, as one does who does not know the port. */
  readonly bridgeOnly?: boolean
  readonly withoutMac?: boolean
}

export interface ProfileWords {
  readonly tags?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly inbound?: readonly RuleObject[]
  readonly outbound?: readonly RuleObject[]
}

export interface PolicyWords {
  readonly selector: string
  readonly order?: number | 'default'
  readonly inbound?: readonly RuleObject[]
  readonly outbound?: readonly RuleObject[]
}

export interface TierWords {
  readonly order?: number | 'default'
  readonly policies: Readonly<Record<string, PolicyWords>>
}

/** A whole state of the store in a few words. */
export interface WorldWords {
  readonly endpoints: readonly EndpointWords[]
  readonly profiles?: Readonly<Record<string, ProfileWords>>
  readonly tiers?: Readonly<Record<string, TierWords>>
  /** Any further keys as they stand, broken ones among them. */
  readonly raw?: Readonly<Record<string, string>>
  /** The Ready key; null leaves it out. Default `true`. */
  readonly ready?: string | null
}

const ALLOW: readonly RuleObject[] = [{ action: 'allow' }]

/** Where an endpoint of the laboratory is kept. */
export function endpointKey(pod: LabPod): string {
  return `${ROOT}host/${pod.node.name}/workload/lab/${pod.name}/endpoint/eth0`
}

/** The v1 tree as keys and JSON texts, Ready last. Outbound rules default to allow, inbound ones to none. */
export function worldEntries(world: WorldWords): Map<string, string> {
  const entries = new Map<string, string>()
  const put = (key: string, value: unknown) => entries.set(`${ROOT}${key}`, JSON.stringify(value))
  for (const [id, profile] of Object.entries(world.profiles ?? {})) {
    put(`policy/profile/${id}/tags`, profile.tags ?? [])
    if (profile.labels !== undefined) put(`policy/profile/${id}/labels`, profile.labels)
    put(`policy/profile/${id}/rules`, rules(profile))
  }
  for (const [name, tier] of Object.entries(world.tiers ?? {})) {
    put(`policy/tier/${name}/metadata`, { order: tier.order ?? 'default' })
    for (const [policy, words] of Object.entries(tier.policies))
      put(`policy/tier/${name}/policy/${policy}`, {
        selector: words.selector,
        order: words.order ?? 'default',
        inbound_rules: words.inbound ?? [],
        outbound_rules: words.outbound ?? [],
      })
  }
  for (const endpoint of world.endpoints) entries.set(endpointKey(endpoint.pod), endpointJson(endpoint))
  for (const [key, value] of Object.entries(world.raw ?? {})) entries.set(key, value)
  const ready = world.ready === undefined ? 'true' : world.ready
  if (ready !== null) entries.set(READY_KEY, ready)
  return entries
}

function rules(words: Pick<ProfileWords, 'inbound' | 'outbound'>): object {
  return { inbound_rules: words.inbound ?? [], outbound_rules: words.outbound ?? ALLOW }
}

function endpointJson({ pod, profiles, labels, state, bridgeOnly, withoutMac }: EndpointWords): string {
  return JSON.stringify({
    state: state ?? 'active',
    name: bridgeOnly ? POD_BRIDGE : pod.interface,
    ...(withoutMac ? {} : { mac: pod.mac }),
    profile_ids: profiles ?? [],
    ipv4_nets: pod.address4 === null ? [] : [`${pod.address4}/32`],
    ipv6_nets: pod.address6 === null ? [] : [`${pod.address6}/128`],
    labels: labels ?? {},
  })
}

/** What has to be written to turn one state into another: deletions first, Ready last when it is set. */
export function worldChanges(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): KeyChange[] {
  const gone = [...before.keys()].filter(key => !after.has(key)).map(key => ({ key, value: null }))
  const put = [...after]
    .filter(([key, value]) => before.get(key) !== value)
    .map(([key, value]) => ({ key, value }))
  return [
    ...gone,
    ...put.filter(({ key }) => key !== READY_KEY),
    ...put.filter(({ key }) => key === READY_KEY),
  ]
}
