import type { ActiveSets } from './active-sets.ts'
import { isBroken } from './broken.ts'
import { INACTIVE } from './local-endpoint.ts'
import type { LocalEndpoint, RuleList } from './outcome.ts'
import type { PolicyPicks } from './policy-picks.ts'
import type { Tiers } from './tier-order.ts'

/** `red`: more is closed than what the subject names. */
export interface PolicyWarning {
  readonly level: 'yellow' | 'red'
  readonly subject: string
  readonly text: string
}

export interface WarningSources {
  readonly picks: PolicyPicks
  readonly tiers: Tiers
  readonly endpoints: Iterable<LocalEndpoint>
  readonly lists: Iterable<RuleList>
  readonly sets: ActiveSets
}

/** What an operator should know about: what is ignored, closed, incomplete or claimed twice, and why. */
export function warningsOf(sources: WarningSources): readonly PolicyWarning[] {
  return [
    ...ignoredTiers(sources),
    ...closedLists(sources),
    ...endpointWarnings(sources.endpoints),
    ...incompleteSets(sources.sets),
  ]
}

function* ignoredTiers({ picks, tiers }: WarningSources): Generator<PolicyWarning, void> {
  for (const tier of picks.tierNames()) {
    if (tiers.has(tier)) continue
    const count = picks.ofTier(tier).length
    const text = `has no metadata, so ${count === 1 ? 'its policy is' : `its ${count} policies are`} ignored`
    yield { level: 'yellow', subject: `tier ${tier}`, text }
  }
}

function closedLists({ lists, picks, tiers }: WarningSources): Iterable<PolicyWarning> {
  // Both directions of an owner are closed together, and say the same.
  const warnings = new Map<string, PolicyWarning>()
  for (const { owner, closed } of lists) {
    if (closed === null) continue
    const subject = `${owner.kind} ${owner.name}`
    const text = `denies everything it is asked, since ${closed}`
    warnings.set(subject, { level: closesMore(owner, picks, tiers) ? 'red' : 'yellow', subject, text })
  }
  return warnings.values()
}

function closesMore(owner: RuleList['owner'], picks: PolicyPicks, tiers: Tiers): boolean {
  const policy = owner.kind === 'policy' ? picks.get(owner.name) : undefined
  if (policy === undefined) return false
  const tier = tiers.get(policy.tier)
  if (tier !== undefined && isBroken(tier)) return true
  return isBroken(policy.value) && policy.value.remains.selector === undefined
}

function* endpointWarnings(endpoints: Iterable<LocalEndpoint>): Generator<PolicyWarning, void> {
  const owners = new Map<string, string>()
  for (const { id, closed, addresses4, addresses6 } of endpoints) {
    const subject = `endpoint ${id}`
    if (closed !== null && closed !== INACTIVE)
      yield { level: 'yellow', subject, text: `is closed: ${closed}` }
    for (const address of [...addresses4, ...addresses6]) {
      const other = owners.get(address)
      if (other === undefined) owners.set(address, id)
      else if (other !== id)
        yield { level: 'yellow', subject, text: `shares ${address} with endpoint ${other}` }
    }
  }
}

function* incompleteSets(sets: ActiveSets): Generator<PolicyWarning, void> {
  for (const set of sets.all()) {
    const doubts = sets.doubts(set)
    const [reason] = doubts.values()
    if (reason === undefined) continue
    const more = doubts.size === 1 ? '' : ` (and ${doubts.size - 1} more)`
    yield { level: 'yellow', subject: `set ${set.id}`, text: `may lack members: ${reason}${more}` }
  }
}
