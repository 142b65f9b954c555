import type { Broken, Direction, RuleSet, WorkloadEndpoint } from '../model/values.ts'
import { type ListUse, listUse } from './active-rules.ts'
import { isBroken } from './broken.ts'
import type { LocalEndpoint, PolicyStack } from './outcome.ts'
import type { PolicyRecord } from './policy-picks.ts'
import { inTiers, type Tiers } from './tier-order.ts'

/** Why an endpoint is closed that its owner switched off: nothing to warn of. */
export const INACTIVE = 'the endpoint is inactive'

type Rules = RuleSet | Broken<object>

/**
 * The profiles that can decide. Rules that cannot be read close the whole stage. Absent ones stand as a closed
 * list, after which nothing is looked at.
 */
export function profileStage(
  named: readonly string[],
  rulesOf: (profile: string) => Rules | undefined,
): readonly string[] {
  const stage: string[] = []
  let open = true
  for (const profile of new Set(named)) {
    const rules = rulesOf(profile)
    if (rules !== undefined && isBroken(rules)) return [profile]
    if (open) stage.push(profile)
    if (rules === undefined) open = false
  }
  return stage
}

export interface StackParts {
  readonly policies: Iterable<PolicyRecord>
  readonly tiers: Tiers
  readonly rulesOf: (profile: string) => Rules | undefined
}

/** An endpoint of this node with its stacks, and the lists that they use. A closed endpoint uses none. */
export function localEndpoint(
  id: string,
  value: WorkloadEndpoint,
  doubt: string | null,
  parts: StackParts,
): { readonly endpoint: LocalEndpoint; readonly uses: readonly ListUse[] } {
  const closed = value.active ? doubt : INACTIVE
  const uses: ListUse[] = []
  const tiers = closed === null ? inTiers(parts.policies, parts.tiers) : []
  const profiles = closed === null ? profileStage(value.profiles, parts.rulesOf) : []
  function use(kind: 'policy' | 'profile', name: string, direction: Direction): string {
    const list = listUse(kind, name, direction)
    uses.push(list)
    return list.id
  }
  function stack(direction: Direction): PolicyStack {
    return {
      tiers: tiers.map(({ name, policies }) => ({
        name,
        lists: policies.map(policy => use('policy', policy.id, direction)),
      })),
      profiles: profiles.map(profile => use('profile', profile, direction)),
    }
  }
  const { interface: name, mac, addresses4, addresses6 } = value
  const [ingress, egress] = [stack('inbound'), stack('outbound')]
  return { endpoint: { id, interface: name, mac, addresses4, addresses6, closed, ingress, egress }, uses }
}
