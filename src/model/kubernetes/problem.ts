import type { Refusal } from '../refusal.ts'

/** What is wrong with a Kubernetes object, and what follows from it. */
export interface KubernetesProblem {
  /** The object's Kubernetes key. */
  readonly key: string
  readonly reason: string
  readonly remedy: string
  /** In an annotation: where, 1-based, in code points. */
  readonly column?: number
  readonly effect: string
}

export function problemOf(key: string, { reason, remedy }: Refusal, effect: string): KubernetesProblem {
  return { key, reason, remedy, effect }
}

export const LAST_GOOD_STANDS = 'What was last good of it stands.'

/** What the CNI plugin said of a pod's network. */
export interface PodAttachment {
  /** Host-side interface. */
  readonly interface: string
  readonly mac: string | null
  readonly addresses: readonly string[]
  /** Which sandbox of the pod it belongs to. */
  readonly sandbox: string
}
