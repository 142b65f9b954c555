import type { Backend } from './backend.ts'
import type { LineFailure } from './ipset/session.ts'
import type { ChainPlace } from './own-names.ts'
import type { ShortSet } from './set-book.ts'

/** A chain that the kernel did not take as it should be. It keeps its last good content, or is closed. */
export interface Refusal extends ChainPlace {
  readonly owner: string
  readonly said: string
  /** It was to go, and nothing leads to it any more: what stays is litter. */
  readonly litter: boolean
}

/** What the kernel does not hold as it should after a call. */
export type Unmet = Pick<Applied, 'refused' | 'short'>

/** What one call wrote, and what is not as it should be afterwards (of all, not only of this call). */
export interface Applied {
  /** One per table and family that changed, and one per batch of set lines. */
  readonly transactions: number
  readonly chains: number
  readonly rules: number
  readonly setLines: number
  readonly refused: readonly Refusal[]
  readonly short: readonly ShortSet[]
}

/** What a read found changed by someone else, and set right. */
export interface Repaired extends Applied {
  readonly repairedChains: readonly ChainPlace[]
  readonly repairedHooks: readonly ChainPlace[]
  /** The owners of the sets. */
  readonly repairedSets: readonly string[]
}

export interface KernelStatus {
  readonly backend: Backend
  /** True when a restore tool does not do for a session, and each update starts a process. */
  readonly spawnPerUpdate: boolean
  readonly chains: number
  readonly rules: number
  readonly sets: number
  readonly refused: readonly Refusal[]
  readonly short: readonly ShortSet[]
  /** Words about a set line that failed again and again for another reason than a full set; null when all is well. */
  readonly setTrouble: LineFailure | null
}
