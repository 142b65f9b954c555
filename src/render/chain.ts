import type { Family } from '../model/values.ts'
import { heading } from './action.ts'
import type { ChainRank, Table } from './kernel-delta.ts'
import { base32Hash } from './name.ts'

/** A chain of one family before its heading is put above it. */
export interface Chain {
  readonly family: Family
  readonly table: Table
  readonly name: string
  readonly rank: ChainRank
  /** Among chains of one rank: a chain refers only to chains with a lower number. 0 when absent. */
  readonly order?: number
  /** For messages: `profile web inbound`. */
  readonly owner: string
  /** For people who read the rules: `in/profile/web`. */
  readonly title: string
  readonly body: readonly string[]
}

/** The heading and the rules. The heading's hash is over the rules below it. */
export function chainRules(chain: Chain): string[] {
  return [heading(chain.family, base32Hash(chain.body.join('\n')), chain.title), ...chain.body]
}
