import type { PolicyStack, RuleList, RuleListId } from './outcome.ts'
import type { Probe } from './probe.ts'
import type { Recorder } from './recorder.ts'
import { ruleMatches } from './rule-verdict.ts'
import type { PolicyView } from './view.ts'

type Outcome = 'allow' | 'deny' | 'next-tier' | 'none'

/**
 * Runs a packet down the tiers and then the profiles of one direction of an endpoint. A tier ends in a denial
 * unless one of its policies passed the packet on; so does the last profile.
 */
export function stackAllows(
  stack: PolicyStack,
  probe: Probe,
  view: PolicyView,
  recorder: Recorder | null,
): boolean {
  for (const tier of stack.tiers) {
    const outcome = tierOutcome(tier.lists, probe, view, recorder)
    if (outcome === 'none') {
      recorder?.decide(`end of tier ${tier.name}`, 'denied: no policy of the tier decided')
      return false
    }
    if (outcome !== 'next-tier') return outcome === 'allow'
  }
  for (const id of stack.profiles) {
    // A profile has no next tier to go to: its next-tier rules only end the profile.
    const outcome = listOutcome(id, probe, view, recorder)
    if (outcome === 'allow' || outcome === 'deny') return outcome === 'allow'
  }
  recorder?.decide('end of profiles', 'denied: no profile decided')
  return false
}

function tierOutcome(
  lists: readonly RuleListId[],
  probe: Probe,
  view: PolicyView,
  recorder: Recorder | null,
): Outcome {
  for (const id of lists) {
    const outcome = listOutcome(id, probe, view, recorder)
    if (outcome !== 'none') return outcome
  }
  return 'none'
}

function listOutcome(id: RuleListId, probe: Probe, view: PolicyView, recorder: Recorder | null): Outcome {
  const list = view.list(id)
  if (list === undefined) {
    recorder?.decide(id, 'denied: the rule list is missing')
    return 'deny'
  }
  if (list.closed !== null) {
    recorder?.decide(nameOf(list), `denied: ${list.closed}`)
    return 'deny'
  }
  for (const rule of list.rules) {
    if (!ruleMatches(rule, probe, view)) continue
    if (rule.action === 'log') {
      recorder?.step(`${nameOf(list)} rule ${rule.index + 1}`, 'logged')
      continue
    }
    recorder?.decide(`${nameOf(list)} rule ${rule.index + 1}`, WORDS[rule.action])
    return rule.action
  }
  recorder?.step(nameOf(list), 'no rule matches')
  return 'none'
}

const WORDS = { allow: 'allowed', deny: 'denied', 'next-tier': 'passed to the next tier' } as const

function nameOf({ owner, direction }: RuleList): string {
  return `${owner.kind} ${owner.name} ${direction}`
}
