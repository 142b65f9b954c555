import { refused } from '../../source/event.ts'
import { attempt, Refusal } from '../refusal.ts'
import type { NamedPort, NamedPorts, PortReference } from './named-ports.ts'
import { isNamespaceName, isSubdomain } from './object-name.ts'
import { objectValue } from './object-value.ts'
import { decodePod, nodeOfPod } from './pod.ts'
import type { PodAttachment } from './pod-attachment.ts'
import { attachedText, endpointKey, endpointText } from './pod-endpoint.ts'
import { podProblem } from './pod-problem.ts'
import { type PodPolicyOptions, type PodProfile, podProfile } from './pod-profile.ts'
import { type KubernetesProblem, LAST_GOOD_STANDS, problemOf } from './problem.ts'
import type { ProfileBook } from './profile-book.ts'
import type { V1Draft } from './v1-draft.ts'

export interface PodBookOptions extends PodPolicyOptions {
  /** The node whose pods are attached; absent: an attachment holds wherever its pod is. */
  readonly node?: string
}

/** What is kept of a pod that has an endpoint. */
interface PodRecord {
  readonly node: string
  /** The endpoint's key. */
  readonly endpoint: string
  /** The endpoint's value without what its attachment says. */
  readonly text: string
  readonly namespace: string
  /** The id of its profile; null: the pod cannot be read, and its endpoint is refused. */
  readonly profile: string | null
  readonly ports: readonly NamedPort[]
}

const NO_PORTS: readonly NamedPort[] = []

/** Keeps the endpoints of all pods in the tree, holds their profiles and counts their named ports. */
export class PodBook {
  readonly #options: PodBookOptions
  readonly #draft: V1Draft
  readonly #profiles: ProfileBook
  readonly #ports: NamedPorts
  readonly #portsChanged: (references: readonly PortReference[]) => void
  readonly #records = new Map<string, PodRecord>()
  readonly #attachments = new Map<string, PodAttachment>()

  /** `portsChanged` hears which named ports have other numbers than before. */
  constructor(
    options: PodBookOptions,
    parts: { readonly draft: V1Draft; readonly profiles: ProfileBook; readonly ports: NamedPorts },
    portsChanged: (references: readonly PortReference[]) => void,
  ) {
    this.#options = options
    this.#draft = parts.draft
    this.#profiles = parts.profiles
    this.#ports = parts.ports
    this.#portsChanged = portsChanged
  }

  /** The Kubernetes keys of the pods that have an endpoint. */
  keys(): Iterable<string> {
    return this.#records.keys()
  }

  /** Takes a pod's value in. Returns what is wrong with it. */
  set(key: string, namespace: string, name: string, text: string): KubernetesProblem | null {
    try {
      if (!isNamespaceName(namespace) || !isSubdomain(name))
        throw new Refusal(
          '',
          'no pod can have this name',
          'Write names of lower-case letters, digits, `-` and `.`.',
        )
      const pod = decodePod(objectValue(text), namespace, name)
      if (pod === null) {
        this.delete(key)
        return null
      }
      const { profile, annotation, error } = podProfile(pod, this.#options)
      const record = {
        node: pod.node,
        endpoint: endpointKey(pod.node, namespace, name),
        text: endpointText(pod, profile.id, annotation),
        namespace,
        profile: profile.id,
        ports: pod.ports,
      }
      this.#put(key, record, profile)
      return podProblem(key, pod, this.#options, error)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return this.#refuse(key, namespace, name, text, error)
    }
  }

  /** The pod is gone, or has no endpoint. */
  delete(key: string): void {
    this.#put(key, null, null)
  }

  /** What the CNI plugin said of the pod; null: it is detached. */
  attach(key: string, attachment: PodAttachment | null): void {
    if (attachment === null) this.#attachments.delete(key)
    else this.#attachments.set(key, attachment)
    const record = this.#records.get(key)
    if (record !== undefined) this.#write(key, record)
  }

  #refuse(key: string, namespace: string, name: string, text: string, refusal: Refusal): KubernetesProblem {
    const standing = this.#records.get(key)
    if (standing !== undefined && standing.profile !== null) return problemOf(key, refusal, LAST_GOOD_STANDS)
    const isNamed = isNamespaceName(namespace) && isSubdomain(name)
    const node = isNamed ? (attempt(() => nodeOfPod(objectValue(text))) ?? null) : null
    if (node === null) {
      this.delete(key)
      return problemOf(key, refusal, 'the pod is not known and gets no traffic')
    }
    const record = {
      node,
      endpoint: endpointKey(node, namespace, name),
      text: refused(refusal.reason),
      namespace,
      profile: null,
      ports: NO_PORTS,
    }
    this.#put(key, record, null)
    return problemOf(key, refusal, 'the pod gets no traffic')
  }

  #put(key: string, record: PodRecord | null, profile: PodProfile | null): void {
    const before = this.#records.get(key)
    if (record === null) this.#records.delete(key)
    else this.#records.set(key, record)
    // First what comes, then what goes: what both have never leaves.
    if (profile !== null) this.#profiles.hold(profile)
    if (before !== undefined && before.profile !== null)
      this.#profiles.release(before.namespace, before.profile)
    this.#countPorts(before, record)
    if (before !== undefined && before.endpoint !== record?.endpoint) this.#draft.set(before.endpoint, null)
    if (record !== null) this.#write(key, record)
  }

  #countPorts(before: PodRecord | undefined, now: PodRecord | null): void {
    const [old, own] = [before?.ports ?? NO_PORTS, now?.ports ?? NO_PORTS]
    if (old.length === own.length && old.every((port, at) => isSame(port, own[at]!))) return
    if (now !== null) this.#portsChanged(this.#ports.add(now.namespace, own))
    if (before !== undefined) this.#portsChanged(this.#ports.remove(before.namespace, old))
  }

  #write(key: string, { node, endpoint, text, profile }: PodRecord): void {
    const attachment = this.#attachments.get(key)
    // A pod of the same name that has come up on another node has another network.
    const isHere = node === (this.#options.node ?? node)
    const value = attachment && isHere && profile !== null ? attachedText(text, attachment) : text
    this.#draft.set(endpoint, value)
  }
}

function isSame(left: NamedPort, right: NamedPort): boolean {
  return left.name === right.name && left.number === right.number
}
