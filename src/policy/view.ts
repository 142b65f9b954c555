import type { LocalEndpoint, RuleList, RuleListId, SetId } from './outcome.ts'

/** What a verdict needs to know of the state; the engine has it, and so has any replay of its deltas. */
export interface PolicyView {
  endpoint(id: string): LocalEndpoint | undefined
  list(id: RuleListId): RuleList | undefined
  setMembers(id: SetId): { has(address: string): boolean } | undefined
  /** The endpoints of this node that own a canonical address, by id. */
  localByAddress(address: string): readonly LocalEndpoint[]
}
