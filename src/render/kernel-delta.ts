import type { Family } from '../model/values.ts'

/** What the kernel should hold, as text that the kernel's own tools print and read. */

export type Table = 'raw' | 'filter'

/** A jump from a chain of the kernel's own to a chain of ours, kept first. */
export interface Hook {
  readonly table: Table
  readonly parent: 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT'
  readonly chain: string
}

/**
 * One chain's content. `rules` are the words after `-A NAME `, written exactly as iptables-save prints
 * them; the first is always the heading: `-s NOBODY -m comment --comment "podf:HASH:NAME"`, HASH over the others.
 * `rules` null: the chain is to go. `rank` orders creation inside a transaction's fall-back pieces:
 * a chain refers only to chains of lower rank, and among its own rank to chains earlier in the delta.
 */
export interface ChainChange {
  readonly family: Family
  readonly table: Table
  readonly name: string
  readonly rules: readonly string[] | null
  readonly rank: ChainRank
  /** Whom it serves, for messages: `profile web inbound`. */
  readonly owner: string
}

export type ChainRank = 'list' | 'endpoint' | 'dispatch' | 'top'
export const RANKS: readonly ChainRank[] = ['list', 'endpoint', 'dispatch', 'top']

export type SetType = 'hash:ip' | 'hash:net' | 'hash:ip,port,ip'

/** What a member more can do: let more through, or let less through. No set does both. */
export type SetRole = 'opens' | 'closes'
export const SET_ROLES: readonly SetRole[] = ['opens', 'closes']

export interface SetChange {
  readonly name: string
  readonly family: Family
  readonly type: SetType
  readonly role: SetRole
  /** Entries expire by themselves after so many seconds; absent: never. */
  readonly timeout?: number
  readonly created: boolean
  readonly removed: boolean
  readonly added: readonly string[]
  readonly deleted: readonly string[]
  readonly owner: string
}

export interface KernelDelta {
  readonly sets: readonly SetChange[]
  readonly chains: readonly ChainChange[]
}
