import type { Action, Case, Expectation } from './case.ts'

/** What came of one packet. */
export interface Answer {
  /** null: that could not be told; the trail says why. */
  readonly allow: boolean | null
  /** Why, a line each. To be asked before the world changes again. */
  trail(): Promise<readonly string[]>
}

/** A case that is being played. */
export interface Play {
  /** An answer for each question, in their order, in the world as it is now. */
  judge(asked: readonly Expectation[]): Promise<readonly Answer[]>
  /** Carries a step's actions out. */
  act(actions: readonly Action[]): Promise<void>
}

/** What gives verdicts: the policy engine, the rendered rules, or a kernel with packets. */
export interface Depth {
  readonly name: string
  /** Shows a case's first world. */
  begin(given: Case): Promise<Play>
  close(): Promise<void>
}
