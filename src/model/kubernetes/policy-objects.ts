import { createHash } from 'node:crypto'
import { printKey } from '../key.ts'
import type { PortReference } from './named-ports.ts'
import type { NetworkPolicy, PolicyDirection } from './network-policy.ts'
import { isSubdomain } from './object-name.ts'
import { PolicyRules } from './policy-rules.ts'
import { ANNOTATION_LABEL } from './reserved-label.ts'

/**
 * NetworkPolicy in v1 words. A v1 policy has no types, and in one tier an egress policy that passes ingress on would
 * pass another's isolation; so each direction has a tier, in which a policy passes on what is of the other direction.
 */
const TIERS = { ingress: 'kubernetes-ingress', egress: 'kubernetes-egress' } as const
const TIER_ORDERS = { ingress: 1000, egress: 2000 } as const
const POLICY_ORDER = 1000
const LAST_ORDER = 2000

const NEXT_TIER = { action: 'next-tier' }

function policyKey(direction: PolicyDirection, policy: string): string {
  return printKey({ kind: 'policy', tier: TIERS[direction], policy })
}

/** `NS.NAME`. What is no name gets one with an underscore, which no real name has. */
function policyId(namespace: string, name: string): string {
  if (isSubdomain(name)) return `${namespace}.${name}`
  return `${namespace}.invalid_${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
}

function policyText(selector: string, order: number, inbound: unknown[], outbound: unknown[]): string {
  return JSON.stringify({ selector, order, inbound_rules: inbound, outbound_rules: outbound })
}

export interface CombineOptions {
  readonly annotationPolicy: boolean
  /** Where a NetworkPolicy isolates an annotated pod: both must allow, or either. */
  readonly annotationCombine: 'narrow' | 'add'
}

/** What stands in the tree whatever objects there are. */
export function tierObjects(options: CombineOptions): Map<string, string> {
  const objects = new Map<string, string>()
  for (const direction of ['ingress', 'egress'] as const)
    objects.set(
      printKey({ kind: 'tier', tier: TIERS[direction] }),
      JSON.stringify({ order: TIER_ORDERS[direction] }),
    )
  // Behind all policies, so that an annotation can add to what any of them allows.
  if (options.annotationPolicy && options.annotationCombine === 'add')
    objects.set(
      policyKey('ingress', 'annotated'),
      policyText(`${ANNOTATION_LABEL} == 'valid'`, LAST_ORDER, [NEXT_TIER], [NEXT_TIER]),
    )
  return objects
}

/**
 * One NetworkPolicy as objects of the v1 tree, by key. Under annotation policy no ingress policy picks a pod with a
 * bad annotation, whose profile denies all. Where a good annotation narrows, what the policy allows is passed on to
 * the pod's profile.
 */
export class PolicyObjects {
  readonly #policy: NetworkPolicy
  readonly #id: string
  readonly #options: CombineOptions
  readonly #rules: Partial<Record<PolicyDirection, PolicyRules>> = {}

  constructor(policy: NetworkPolicy, name: string, options: CombineOptions) {
    this.#policy = policy
    this.#id = policyId(policy.namespace, name)
    this.#options = options
    for (const direction of ['ingress', 'egress'] as const) {
      const rules = policy[direction]
      if (rules !== null) this.#rules[direction] = new PolicyRules(direction, policy.namespace, rules)
    }
  }

  /** The named ports whose numbers the objects depend on. */
  references(): readonly PortReference[] {
    return [...new Set(Object.values(this.#rules).flatMap(rules => rules.references()))]
  }

  /** `numbersOf`: which numbers there are for a named port. */
  write(numbersOf: (reference: PortReference) => readonly number[]): Map<string, string> {
    const objects = new Map<string, string>()
    const { ingress, egress } = this.#rules
    if (ingress !== undefined) this.#writeIngress(ingress.matches(numbersOf), objects)
    if (egress !== undefined) {
      const rules = egress.matches(numbersOf).map(allow)
      objects.set(
        policyKey('egress', this.#id),
        policyText(this.#policy.selector, POLICY_ORDER, [NEXT_TIER], rules),
      )
    }
    return objects
  }

  #writeIngress(matches: readonly object[], objects: Map<string, string>): void {
    const put = (id: string, condition: string, rules: unknown[]) => {
      const selector = this.#policy.selector + condition
      objects.set(policyKey('ingress', id), policyText(selector, POLICY_ORDER, rules, [NEXT_TIER]))
    }
    const rules = matches.map(allow)
    if (!this.#options.annotationPolicy) put(this.#id, '', rules)
    else if (this.#options.annotationCombine === 'add')
      put(this.#id, ` && ${ANNOTATION_LABEL} != 'refused'`, rules)
    else {
      put(this.#id, ` && !has(${ANNOTATION_LABEL})`, rules)
      const passed = matches.map(match => ({ ...NEXT_TIER, ...match }))
      put(`annotated_${this.#id}`, ` && ${ANNOTATION_LABEL} == 'valid'`, passed)
    }
  }
}

function allow(match: object): object {
  return { action: 'allow', ...match }
}
