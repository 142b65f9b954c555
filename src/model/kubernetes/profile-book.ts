import { refused } from '../../source/event.ts'
import { printKey } from '../key.ts'
import type { PodProfile } from './pod-profile.ts'
import type { V1Draft } from './v1-draft.ts'

interface Namespace {
  /** The value of its profiles' labels; null: not known. */
  labels: string | null
  /** How many hold each of its profiles, by id. */
  readonly holders: Map<string, number>
}

/** Keeps the profiles that anything holds in the tree, with the labels of their namespaces. */
export class ProfileBook {
  readonly #draft: V1Draft
  readonly #namespaces = new Map<string, Namespace>()

  constructor(draft: V1Draft) {
    this.#draft = draft
  }

  /** Whether any profile of the namespace is held. */
  isUsed(namespace: string): boolean {
    return (this.#namespaces.get(namespace)?.holders.size ?? 0) > 0
  }

  /** Whether the labels of the namespace are known. */
  isKnown(namespace: string): boolean {
    return (this.#namespaces.get(namespace)?.labels ?? null) !== null
  }

  /** Takes one hold of a profile, and writes it. */
  hold(profile: PodProfile): void {
    const namespace = this.#namespace(profile.namespace)
    const holders = namespace.holders.get(profile.id) ?? 0
    namespace.holders.set(profile.id, holders + 1)
    // What has no tags is shared, and who shares it has an equal one.
    if (holders > 0 && profile.tags === null) return
    this.#draft.set(printKey({ kind: 'profile-rules', profile: profile.id }), profile.rules)
    this.#draft.set(printKey({ kind: 'profile-tags', profile: profile.id }), profile.tags)
    this.#writeLabels(profile.namespace, profile.id)
  }

  /** Gives one hold of a profile back; the last one removes it. */
  release(name: string, id: string): void {
    const { holders } = this.#namespaces.get(name)!
    const rest = holders.get(id)! - 1
    if (rest > 0) {
      holders.set(id, rest)
      return
    }
    holders.delete(id)
    for (const kind of ['profile-rules', 'profile-tags', 'profile-labels'] as const)
      this.#draft.set(printKey({ kind, profile: id }), null)
    this.#forget(name)
  }

  /** `labels`: the value that all profiles of the namespace have; null: the namespace is not known. */
  setLabels(name: string, labels: string | null): void {
    const namespace = this.#namespace(name)
    if (namespace.labels !== labels) {
      namespace.labels = labels
      for (const id of namespace.holders.keys()) this.#writeLabels(name, id)
    }
    this.#forget(name)
  }

  #namespace(name: string): Namespace {
    let namespace = this.#namespaces.get(name)
    if (namespace === undefined) {
      namespace = { labels: null, holders: new Map() }
      this.#namespaces.set(name, namespace)
    }
    return namespace
  }

  #forget(name: string): void {
    const namespace = this.#namespaces.get(name)
    if (namespace?.labels === null && namespace.holders.size === 0) this.#namespaces.delete(name)
  }

  #writeLabels(namespace: string, profile: string): void {
    const labels = this.#namespaces.get(namespace)!.labels
    const value = labels ?? refused(`the namespace ${namespace} is not known`)
    this.#draft.set(printKey({ kind: 'profile-labels', profile }), value)
  }
}
