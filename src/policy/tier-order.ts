import type { Broken, Tier } from '../model/values.ts'
import { isBroken } from './broken.ts'
import type { PolicyRecord } from './policy-picks.ts'

export type Tiers = ReadonlyMap<string, Tier | Broken<object>>

interface Ordered {
  readonly name: string
  readonly order: number
}

/** By order, then by name. */
function compare(left: Ordered, right: Ordered): number {
  if (left.order !== right.order) return left.order < right.order ? -1 : 1
  return left.name < right.name ? -1 : 1
}

/**
 * The policies that pick one endpoint, in the order in which they judge. Tiers without metadata do not exist;
 * a tier whose metadata cannot be read comes first.
 */
export function inTiers(
  policies: Iterable<PolicyRecord>,
  tiers: Tiers,
): readonly { readonly name: string; readonly policies: readonly PolicyRecord[] }[] {
  const byTier = new Map<string, { name: string; order: number; policies: PolicyRecord[] }>()
  for (const policy of policies) {
    const tier = tiers.get(policy.tier)
    if (tier === undefined) continue
    const order = isBroken(tier) ? Number.NEGATIVE_INFINITY : tier.order
    const entry = byTier.get(policy.tier)
    if (entry === undefined) byTier.set(policy.tier, { name: policy.tier, order, policies: [policy] })
    else entry.policies.push(policy)
  }
  return [...byTier.values()]
    .sort(compare)
    .map(({ name, policies }) => ({ name, policies: policies.sort(compare) }))
}
