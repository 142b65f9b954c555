import type { Direction } from '../model/values.ts'
import type { RuleList, RuleListId } from './outcome.ts'

export type RuleOwner = RuleList['owner']

export function ruleListId(kind: RuleOwner['kind'], name: string, direction: Direction): RuleListId {
  return `${kind}:${name}:${direction}`
}
