import { type KeyChange, refusalOf, refused } from '../../source/event.ts'
import { objectKey, parseObjectKey } from '../../source/kubernetes/object-key.ts'
import { asObject, member, parseJson } from '../json.ts'
import { decodeLabels } from '../labels.ts'
import { Refusal } from '../refusal.ts'
import { EntryGroups } from './entry-groups.ts'
import { NamedPorts } from './named-ports.ts'
import { closedNetworkPolicy, decodeNetworkPolicy, type NetworkPolicy } from './network-policy.ts'
import { decodePod, nodeOf, type Pod } from './pod.ts'
import { type PodPolicyOptions, type PodProfile, podProfile } from './pod-profile.ts'
import { portLabelsOf } from './policy-rules.ts'
import type { KubernetesProblem, PodAttachment } from './problem.ts'
import { ProfileBook } from './profile-book.ts'
import {
  type CombineOptions,
  endpointEntry,
  endpointKey,
  policyEntries,
  profileEntries,
  TIER_ENTRIES,
} from './tree-text.ts'

export type TranslationOptions = PodPolicyOptions & CombineOptions

const NAMESPACE_NAME = 'kubernetes.io/metadata.name'

/**
 * Kubernetes' objects as Calico's v1 tree, one change at a time. What it yields depends on the present objects only,
 * never on the order in which they came; but where an object is refused its last good version stands.
 *
 *     pods ─┬─> endpoints, with labels of their own and of their named ports
 *           ├─> profiles: annotation or default, with the labels of the namespace
 *           └─> numbers of named ports ──┐
 *     NetworkPolicies ───────────────────┴─> policies of two tiers
 */
export class KubernetesTranslation {
  readonly #options: TranslationOptions
  readonly #pods = new Map<string, Pod>()
  /** Labels by the namespace's name. */
  readonly #namespaces = new Map<string, ReadonlyMap<string, string>>()
  readonly #policies = new Map<string, NetworkPolicy>()
  /** Policies (by key) that stand for a refused one; they are no good version. */
  readonly #closed = new Set<string>()
  readonly #attachments = new Map<string, PodAttachment>()
  readonly #ports = new NamedPorts()
  /** Policies by the port labels that they name. */
  readonly #naming = new Map<string, Set<string>>()
  readonly #profiles = new ProfileBook()
  readonly #problems = new Map<string, KubernetesProblem>()
  readonly #groups = new EntryGroups()
  /** What is to be told anew: policies by key, profiles by id. */
  readonly #soiled = { policies: new Set<string>(), profiles: new Set<string>() }

  constructor(options: TranslationOptions) {
    this.#options = options
    this.#groups.set('tiers', TIER_ENTRIES)
  }

  /** The complete list of objects: what it does not name is gone. Returns the complete tree, without a Ready key. */
  snapshot(entries: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const known = [...this.#pods.keys(), ...this.#policies.keys(), ...this.#problems.keys()]
    const namespaces = [...this.#namespaces.keys()].map(name => objectKey('namespaces', '', name))
    for (const key of new Set([...known, ...namespaces])) if (!entries.has(key)) this.#take(key, null)
    for (const [key, text] of entries) this.#take(key, text)
    this.#settle()
    this.#groups.take()
    return this.#groups.entries()
  }

  /** Changes of objects as changes of the tree: of what really differs alone. */
  change(changes: readonly KeyChange[]): KeyChange[] {
    for (const { key, value } of changes) this.#take(key, value)
    this.#settle()
    return this.#groups.take()
  }

  /** What the container runtime says of a pod (`NAMESPACE/NAME`); null: it has let go of it. */
  attach(pod: string, attachment: PodAttachment | null): KeyChange[] {
    if (attachment === null) this.#attachments.delete(pod)
    else this.#attachments.set(pod, attachment)
    const [namespace = '', name = ''] = pod.split('/')
    const known = this.#pods.get(objectKey('pods', namespace, name))
    if (known !== undefined) this.#placePod(objectKey('pods', namespace, name), known)
    this.#settle()
    return this.#groups.take()
  }

  /** What is wrong with the present objects, by their keys. The map is live. */
  problems(): ReadonlyMap<string, KubernetesProblem> {
    return this.#problems
  }

  #take(key: string, text: string | null): void {
    const parsed = parseObjectKey(key)
    if (parsed === null) return
    const { resource, namespace, name } = parsed
    this.#problems.delete(key)
    if (resource === 'pods') this.#takePod(key, namespace, name, text)
    else if (resource === 'networkpolicies') this.#takePolicy(key, namespace, name, text)
    else if (resource === 'namespaces') this.#takeNamespace(key, name, text)
  }

  #takePod(key: string, namespace: string, name: string, text: string | null): void {
    try {
      this.#setPod(key, text === null ? null : decodePod(jsonOf(text), namespace, name))
    } catch (error) {
      const last = this.#pods.has(key)
      this.#refuse(key, error, last ? 'its last good version stands' : 'no traffic')
      if (last) return
      const node = nodeOf(attemptJson(text ?? ''))
      const closed = (on: string) =>
        [endpointKey(on, namespace, name), refused((error as Error).message)] as const
      this.#groups.set(key, node === null ? [] : [closed(node)])
    }
  }

  #setPod(key: string, pod: Pod | null): void {
    const before = this.#pods.get(key) ?? null
    if (pod === null) this.#pods.delete(key)
    else this.#pods.set(key, pod)
    for (const label of this.#ports.replace(before, pod))
      for (const policy of this.#naming.get(label) ?? []) this.#soiled.policies.add(policy)
    this.#placePod(key, pod)
  }

  #placePod(key: string, pod: Pod | null): void {
    if (pod === null || pod.node === null) {
      this.#use(key, null)
      this.#groups.set(key, [])
      return
    }
    const { node, namespace, name } = pod
    const profile = podProfile(pod, this.#options)
    this.#use(key, profile)
    this.#tellAnnotation(key, profile)
    const attachment = this.#attachments.get(`${namespace}/${name}`) ?? null
    this.#groups.set(key, [endpointEntry({ ...pod, node }, profile, attachment)])
  }

  #use(key: string, profile: PodProfile | null): void {
    for (const id of this.#profiles.use(key, profile)) this.#soiled.profiles.add(id)
  }

  #tellAnnotation(key: string, { annotation, ignored }: PodProfile): void {
    if (annotation !== null && 'message' in annotation)
      this.#problems.set(key, {
        key,
        reason: `the annotation is refused at column ${annotation.column}: ${annotation.message}`,
        remedy: 'Correct the annotation; `podfence annotation` tries one.',
        column: annotation.column,
        effect: 'no inbound traffic',
      })
    if (ignored)
      this.#problems.set(key, {
        key,
        reason: 'annotations mean nothing in this namespace',
        remedy: 'Use a NetworkPolicy here, or remove the annotation.',
        effect: 'the annotation is ignored',
      })
  }

  #takeNamespace(key: string, name: string, text: string | null): void {
    if (text === null) this.#namespaces.delete(name)
    else
      try {
        const metadata = asObject(member(asObject(jsonOf(text), ''), 'metadata') ?? {}, 'metadata')
        const labels = decodeLabels(member(metadata, 'labels'), 'metadata.labels')
        this.#namespaces.set(name, new Map([...labels, [NAMESPACE_NAME, name]]))
      } catch (error) {
        const last = this.#namespaces.has(name)
        const effect = last ? 'its last good labels stand' : 'nothing opens by its labels'
        this.#refuse(key, error, effect)
      }
    for (const id of this.#profiles.ofNamespace(name)) this.#soiled.profiles.add(id)
  }

  #takePolicy(key: string, namespace: string, name: string, text: string | null): void {
    try {
      const policy = text === null ? null : decodeNetworkPolicy(jsonOf(text), namespace, name)
      this.#closed.delete(key)
      this.#setPolicy(key, policy)
    } catch (error) {
      const last = this.#policies.has(key) && !this.#closed.has(key)
      this.#refuse(key, error, last ? 'its last good version stands' : 'whom it may mean is isolated')
      if (last) return
      this.#closed.add(key)
      this.#setPolicy(key, closedNetworkPolicy(attemptJson(text ?? ''), namespace, name))
    }
  }

  #setPolicy(key: string, policy: NetworkPolicy | null): void {
    const before = this.#policies.get(key)
    for (const label of labelsOf(before)) {
      const naming = this.#naming.get(label)
      if (naming?.delete(key) && naming.size === 0) this.#naming.delete(label)
    }
    if (policy === null) this.#policies.delete(key)
    else this.#policies.set(key, policy)
    for (const label of labelsOf(policy ?? undefined)) {
      const naming = this.#naming.get(label) ?? new Set<string>()
      this.#naming.set(label, naming.add(key))
    }
    this.#soiled.policies.add(key)
  }

  #refuse(key: string, error: unknown, effect: string): void {
    if (!(error instanceof Refusal)) throw error
    this.#problems.set(key, { key, reason: error.reason, remedy: error.remedy, effect })
  }

  #settle(): void {
    for (const key of this.#soiled.policies) {
      const policy = this.#policies.get(key)
      this.#groups.set(key, policy === undefined ? [] : this.#policyEntries(policy))
    }
    for (const id of this.#soiled.profiles) {
      const profile = this.#profiles.get(id)
      const labels = profile && this.#namespaces.get(profile.namespace)
      this.#groups.set(`profile ${id}`, profile === undefined ? [] : profileEntries(profile, labels ?? null))
    }
    this.#soiled.policies.clear()
    this.#soiled.profiles.clear()
  }

  /** A policy picks pods of its own namespace only; where its pods may go is anywhere. */
  #policyEntries(policy: NetworkPolicy) {
    const numbers = (namespace: string | null) => (label: string) => this.#ports.numbers(label, namespace)
    return policyEntries(
      policy,
      direction => numbers(direction === 'ingress' ? policy.namespace : null),
      this.#options,
    )
  }
}

function labelsOf(policy: NetworkPolicy | undefined): Set<string> {
  return new Set([...portLabelsOf(policy?.ingress ?? null), ...portLabelsOf(policy?.egress ?? null)])
}

/** The object that a value holds. Throws Refusal, also where the source itself could not read it. */
function jsonOf(text: string): unknown {
  const reason = refusalOf(text)
  if (reason !== null) throw new Refusal('', reason, 'Correct the object where it is kept.')
  return parseJson(text)
}

/** What can be read of a refused object; undefined: nothing. */
function attemptJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
