import type { KeyChange } from '../../source/event.ts'
import { objectKey, parseObjectKey } from '../../source/kubernetes/object-key.ts'
import { Refusal } from '../refusal.ts'
import { NamedPorts } from './named-ports.ts'
import { namespaceLabelsText } from './namespace.ts'
import { isNamespaceName } from './object-name.ts'
import { objectValue } from './object-value.ts'
import type { PodAttachment } from './pod-attachment.ts'
import { PodBook, type PodBookOptions } from './pod-book.ts'
import { defaultProfile } from './pod-profile.ts'
import { PolicyBook } from './policy-book.ts'
import { type CombineOptions, tierObjects } from './policy-objects.ts'
import { isSameProblem, type KubernetesProblem, LAST_GOOD_STANDS, problemOf } from './problem.ts'
import { ProfileBook } from './profile-book.ts'
import { V1Draft } from './v1-draft.ts'

export type TranslationOptions = PodBookOptions & CombineOptions

/**
 * Kubernetes objects to the v1 tree, one change at a time. What it says depends on the present objects only, never
 * on the order in which they came, but for an object that cannot be read: what was last good of it stands.
 *
 *   pods ──────────────> PodBook ──────> endpoints
 *                         │     └─holds─> ProfileBook ──> profiles, with the labels of their namespaces
 *   namespaces ───────────│─────────────────┘
 *                         └─numbers of named ports─┐
 *   networkpolicies ──────────────────────────> PolicyBook ──> policies of two tiers
 */
export class KubernetesTranslation {
  readonly #options: TranslationOptions
  readonly #draft = new V1Draft()
  readonly #ports = new NamedPorts()
  readonly #profiles = new ProfileBook(this.#draft)
  readonly #policies: PolicyBook
  readonly #pods: PodBook
  readonly #namespaces = new Set<string>()
  readonly #problems = new Map<string, KubernetesProblem>()
  /** The namespaces of which it may have changed whether they are known or used. */
  readonly #touched = new Set<string>()

  constructor(options: TranslationOptions) {
    this.#options = options
    this.#policies = new PolicyBook(options, this.#draft, this.#ports)
    const parts = { draft: this.#draft, profiles: this.#profiles, ports: this.#ports }
    this.#pods = new PodBook(options, parts, references => this.#policies.portsChanged(references))
    for (const [key, value] of tierObjects(options)) this.#draft.set(key, value)
  }

  /** All objects there are, by Kubernetes key; what is not among them is gone. Returns the complete v1 tree. */
  snapshot(entries: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const known = [
      ...this.#namespaces,
      ...this.#pods.keys(),
      ...this.#policies.keys(),
      ...this.#problems.keys(),
    ]
    for (const key of known) if (!entries.has(key)) this.#take(key, null)
    for (const [key, value] of entries) this.#take(key, value)
    this.#settle()
    return this.#draft.whole()
  }

  /** Changes of the objects, in their order. Returns what differs in the v1 tree. */
  change(changes: readonly KeyChange[]): KeyChange[] {
    for (const { key, value } of changes) this.#take(key, value)
    this.#settle()
    return this.#draft.take()
  }

  /** What the CNI plugin said of a pod (`NAMESPACE/NAME`) of this node; null: it is detached. */
  attach(pod: string, attachment: PodAttachment | null): KeyChange[] {
    const [namespace = '', name = ''] = pod.split('/')
    this.#pods.attach(objectKey('pods', namespace, name), attachment)
    return this.#draft.take()
  }

  /** Every object with something wrong, by Kubernetes key. The map is live. */
  problems(): ReadonlyMap<string, KubernetesProblem> {
    return this.#problems
  }

  #take(key: string, value: string | null): void {
    const object = parseObjectKey(key)
    if (object === null || object.resource === 'nodes') return
    const { resource, namespace, name } = object
    let problem: KubernetesProblem | null = null
    if (resource === 'namespaces') {
      problem = value === null ? this.#deleteNamespace(key, name) : this.#setNamespace(key, name, value)
    } else {
      const book = resource === 'pods' ? this.#pods : this.#policies
      if (value === null) book.delete(key)
      else problem = book.set(key, namespace, name, value)
      if (resource === 'pods') this.#touched.add(namespace)
    }
    if (problem === null) this.#problems.delete(key)
    else this.#tell(problem)
  }

  #setNamespace(key: string, name: string, text: string): KubernetesProblem | null {
    if (!isNamespaceName(name))
      return {
        key,
        reason: 'no namespace can have this name',
        remedy: 'Use lower-case letters, digits and `-`.',
        effect: 'it means nothing',
      }
    this.#touched.add(name)
    if (!this.#namespaces.has(key)) {
      this.#namespaces.add(key)
      if (this.#options.profiles === 'shared') this.#profiles.hold(defaultProfile(name, this.#options))
    }
    try {
      this.#profiles.setLabels(name, namespaceLabelsText(objectValue(text), name))
      return null
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const effect = this.#profiles.isKnown(name) ? LAST_GOOD_STANDS : 'its pods get no traffic'
      return problemOf(key, error, effect)
    }
  }

  #deleteNamespace(key: string, name: string): null {
    this.#touched.add(name)
    if (!this.#namespaces.delete(key)) return null
    if (this.#options.profiles === 'shared')
      this.#profiles.release(name, defaultProfile(name, this.#options).id)
    this.#profiles.setLabels(name, null)
    return null
  }

  #settle(): void {
    this.#policies.settle()
    for (const name of this.#touched) this.#tellMissing(name)
    this.#touched.clear()
  }

  /** Whether pods are in a namespace of which no object is there. */
  #tellMissing(name: string): void {
    const key = objectKey('namespaces', '', name)
    if (this.#namespaces.has(key)) return
    if (!this.#profiles.isUsed(name)) this.#problems.delete(key)
    else
      this.#tell({
        key,
        reason: 'there is no Namespace object of this name, though pods are in it',
        remedy: 'Add the Namespace.',
        effect: 'its pods get no traffic',
      })
  }

  /** A problem that stays is one object, so that whoever hears of it again knows it. */
  #tell(problem: KubernetesProblem): void {
    const before = this.#problems.get(problem.key)
    if (before === undefined || !isSameProblem(before, problem)) this.#problems.set(problem.key, problem)
  }
}
