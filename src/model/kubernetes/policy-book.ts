import { Refusal } from '../refusal.ts'
import type { NamedPorts, PortReference } from './named-ports.ts'
import { closedPolicy, decodeNetworkPolicy, type NetworkPolicy } from './network-policy.ts'
import { isNamespaceName, isSubdomain } from './object-name.ts'
import { objectValue } from './object-value.ts'
import { type CombineOptions, PolicyObjects } from './policy-objects.ts'
import { type KubernetesProblem, LAST_GOOD_STANDS, problemOf } from './problem.ts'
import type { V1Draft } from './v1-draft.ts'

/** What is kept of a NetworkPolicy. */
interface PolicyRecord {
  /** The keys of its v1 policies. */
  readonly keys: readonly string[]
  /** Named ports that it depends on, and what to write again when they change; null when there are none. */
  readonly ports: { readonly references: readonly PortReference[]; readonly objects: PolicyObjects } | null
  /** Whether it was readable when it was written. */
  readonly good: boolean
}

/** Keeps the v1 policies of all NetworkPolicies in the tree. */
export class PolicyBook {
  readonly #options: CombineOptions
  readonly #draft: V1Draft
  readonly #ports: NamedPorts
  readonly #records = new Map<string, PolicyRecord>()
  readonly #users = new Map<PortReference, Set<string>>()
  /** The policies that name a port whose numbers have changed. */
  readonly #stale = new Set<string>()

  constructor(options: CombineOptions, draft: V1Draft, ports: NamedPorts) {
    this.#options = options
    this.#draft = draft
    this.#ports = ports
  }

  /** The Kubernetes keys of the policies. */
  keys(): Iterable<string> {
    return this.#records.keys()
  }

  /** Takes a NetworkPolicy's value in. Returns what is wrong with it. */
  set(key: string, namespace: string, name: string, text: string): KubernetesProblem | null {
    let value: unknown
    try {
      if (!isNamespaceName(namespace))
        throw new Refusal('', 'no namespace can have this name', 'Write the name of a namespace.')
      value = objectValue(text)
      if (!isSubdomain(name))
        throw new Refusal(
          'metadata.name',
          'no policy can have this name',
          'Use lower-case letters, digits, `-`, `.`.',
        )
      this.#put(key, decodeNetworkPolicy(value, namespace), name, true)
      return null
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      if (this.#records.get(key)?.good) return problemOf(key, error, LAST_GOOD_STANDS)
      // In no namespace there are no pods to isolate.
      if (!isNamespaceName(namespace)) return problemOf(key, error, 'It means nothing.')
      const closed = closedPolicy(value, namespace)
      this.#put(key, closed, name, false)
      return problemOf(key, error, closedEffect(closed))
    }
  }

  delete(key: string): void {
    const record = this.#records.get(key)
    if (record === undefined) return
    this.#forget(key, record)
    for (const written of record.keys) this.#draft.set(written, null)
  }

  /** The numbers of these named ports have changed. */
  portsChanged(references: readonly PortReference[]): void {
    for (const reference of references)
      for (const key of this.#users.get(reference) ?? []) this.#stale.add(key)
  }

  /** Writes again what depends on a named port that has changed. */
  settle(): void {
    for (const key of this.#stale)
      for (const [written, value] of this.#written(this.#records.get(key)!.ports!.objects))
        this.#draft.set(written, value)
    this.#stale.clear()
  }

  #put(key: string, policy: NetworkPolicy, name: string, good: boolean): void {
    const before = this.#records.get(key)
    if (before !== undefined) this.#forget(key, before)
    const objects = new PolicyObjects(policy, name, this.#options)
    const references = objects.references()
    const written = this.#written(objects)
    for (const reference of references) {
      const users = this.#users.get(reference) ?? new Set()
      this.#users.set(reference, users.add(key))
    }
    const ports = references.length === 0 ? null : { references, objects }
    this.#records.set(key, { keys: [...written.keys()], ports, good })
    for (const old of before?.keys ?? []) if (!written.has(old)) this.#draft.set(old, null)
    for (const [own, value] of written) this.#draft.set(own, value)
  }

  #forget(key: string, { ports }: PolicyRecord): void {
    this.#records.delete(key)
    this.#stale.delete(key)
    for (const reference of ports?.references ?? []) {
      const users = this.#users.get(reference)!
      users.delete(key)
      if (users.size === 0) this.#users.delete(reference)
    }
  }

  #written(objects: PolicyObjects): ReadonlyMap<string, string> {
    return objects.write(reference => this.#ports.numbers(reference))
  }
}

function closedEffect({ selector, ingress, egress }: NetworkPolicy): string {
  const directions = [ingress && 'ingress', egress && 'egress'].filter(direction => direction !== null)
  return `It allows nothing, and isolates what ${selector} selects for ${directions.join(' and ')}.`
}
