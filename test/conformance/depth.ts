import type { Action, Case, Expectation } from './case.ts'

/** What came of one packet. */
export interface Answer {
  /** null: that could not be told; the trail says why. */
  readonly allow: boolean | null
  /** The halves, where they can be seen apart: what the sender's node says, and the receiver's. */
  readonly egress?: boolean
  readonly ingress?: boolean
  /** Why, a line each. To be asked before the world changes again. */
  trail(): Promise<readonly string[]>
}

/** Nothing can be sent from or to what is not there. */
export function nobody({ from, to, family }: Expectation): Answer {
  return { allow: false, trail: async () => [`${from} or ${to} has no ${family} address now`] }
}

/** A case that is being played. */
export interface Play {
  /** An answer for each question, in their order, in the world as it is now. */
  judge(asked: readonly Expectation[]): Promise<readonly Answer[]>
  /** Carries a step's actions out. */
  act(actions: readonly Action[]): Promise<void>
  /** Objects that were not taken as they are, and why. */
  refused(): readonly string[]
}

/** What gives verdicts: the policy engine, the rendered rules, or a kernel with packets. */
export interface Depth {
  readonly name: string
  /** Shows a case's first world. */
  begin(given: Case): Promise<Play>
  close(): Promise<void>
}
