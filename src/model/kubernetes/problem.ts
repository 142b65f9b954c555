import type { Refusal } from '../refusal.ts'

/** What is wrong with a Kubernetes object, and what follows from it. */
export interface KubernetesProblem {
  /** The object's Kubernetes key. */
  readonly key: string
  readonly reason: string
  readonly remedy: string
  /** In an annotation: where, 1-based, in code points. */
  readonly column?: number
  /** What is enforced all the same, as part of a sentence: `no inbound traffic`. */
  readonly effect: string
}

export function problemOf(key: string, { reason, remedy }: Refusal, effect: string): KubernetesProblem {
  return { key, reason, remedy, effect }
}

export function isSameProblem(left: KubernetesProblem, right: KubernetesProblem): boolean {
  return (
    left.reason === right.reason &&
    left.remedy === right.remedy &&
    left.column === right.column &&
    left.effect === right.effect
  )
}

export const LAST_GOOD_STANDS = 'its last good version stands'
