/**
 * The keys that the controller writes, by what must be written together. A unit is one Kubernetes object: a pod with its
 * endpoint and the three keys of its profile, a NetworkPolicy with its policies of both tiers, or a tier.
 */
export type Unit = `pod ${string}/${string}` | `policy ${string}` | `tier ${string}`

/** Kubernetes' own names: a namespace has no dot, and neither has an underscore. */
const ENDPOINT = /^\/calico\/v1\/host\/[^/]+\/workload\/k8s\/([a-z0-9-]+)\.([a-z0-9.-]+)\/endpoint\/[^/]+$/
const PROFILE = /^\/calico\/v1\/policy\/profile\/([a-z0-9-]+)_([a-z0-9.-]+)\/(?:rules|tags|labels)$/
const TIER = /^\/calico\/v1\/policy\/tier\/(kubernetes-(?:ingress|egress))\/(?:metadata|policy\/(.+))$/s
/** What the translation puts before a policy's name for the pods with an annotation. */
const ANNOTATED = /^annotated_/

/** The unit that a key of the v1 tree belongs to; null when no key of the controller looks like it. */
export function unitOf(key: string): Unit | null {
  const pod = ENDPOINT.exec(key) ?? PROFILE.exec(key)
  if (pod !== null) return `pod ${pod[1]!}/${pod[2]!}`
  const tier = TIER.exec(key)
  if (tier === null) return null
  const [, name, policy] = tier
  return policy === undefined ? `tier ${name!}` : `policy ${policy.replace(ANNOTATED, '')}`
}

/** Whether the key is a workload endpoint's, of those that `unitOf` knows. */
export function isEndpointKey(key: string): boolean {
  return ENDPOINT.test(key)
}

/** Keys with what is known of each, by unit. */
export class KeysByUnit<Value> {
  readonly #units = new Map<Unit, Map<string, Value>>()

  units(): IterableIterator<Unit> {
    return this.#units.keys()
  }

  of(unit: Unit): ReadonlyMap<string, Value> {
    return this.#units.get(unit) ?? new Map()
  }

  get(unit: Unit, key: string): Value | undefined {
    return this.#units.get(unit)?.get(key)
  }

  set(unit: Unit, key: string, value: Value): void {
    const keys = this.#units.get(unit)
    if (keys === undefined) this.#units.set(unit, new Map([[key, value]]))
    else keys.set(key, value)
  }

  delete(unit: Unit, key: string): void {
    const keys = this.#units.get(unit)
    if (keys?.delete(key) && keys.size === 0) this.#units.delete(unit)
  }

  clear(): void {
    this.#units.clear()
  }
}
