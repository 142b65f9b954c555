import type { Case, Expectation } from './case.ts'
import type { Answer, Depth } from './depth.ts'

const PARTS = ['allow', 'egress', 'ingress'] as const
export type Part = (typeof PARTS)[number]

/** One verdict that is not as the case has it. */
export interface Deviation {
  /** The step after which it was asked. */
  readonly when: string
  readonly expected: Expectation
  readonly answer: Answer
  /** What of it is wrong: the verdict, or a half of it. */
  readonly parts: readonly Part[]
  readonly trail: readonly string[]
}

/** What came of a case at one depth. */
export interface CaseResult {
  readonly name: string
  readonly depth: string
  /** How many were judged, and those of them that are wrong. */
  readonly judged: number
  readonly wrong: readonly Deviation[]
  /** By strength: how many were only told, and how many of those are otherwise. */
  readonly told: ReadonlyMap<string, { readonly asked: number; readonly otherwise: number }>
  /** Objects that were not taken as they are, and why. */
  readonly refused: readonly string[]
  /** Why it could not be played to its end. */
  readonly failure: string | null
}

/** A case in which nothing was judged shows nothing. */
export function hasPassed({ judged, wrong, refused, failure }: CaseResult): boolean {
  return judged > 0 && wrong.length === 0 && refused.length === 0 && failure === null
}

/** Plays a case, its steps included. Never rejects: what goes wrong with the play itself is the result's failure. */
export async function playCase(given: Case, depth: Depth): Promise<CaseResult> {
  const wrong: Deviation[] = []
  const told = new Map<string, { asked: number; otherwise: number }>()
  let judged = 0

  const compare = async (when: string, expect: readonly Expectation[], answers: readonly Answer[]) => {
    for (const [index, expected] of expect.entries()) {
      const answer = answers[index]!
      const parts = PARTS.filter(part => answer[part] !== undefined && answer[part] !== expected[part])
      if (expected.strength === undefined) {
        judged++
        if (parts.length > 0) wrong.push({ when, expected, answer, parts, trail: await answer.trail() })
        continue
      }
      const count = told.get(expected.strength) ?? { asked: 0, otherwise: 0 }
      told.set(expected.strength, count)
      count.asked++
      if (parts.includes('allow')) count.otherwise++
    }
  }

  let refused: readonly string[] = []
  let failure: string | null = null
  try {
    const play = await depth.begin(given)
    await compare('at the start', given.expect, await play.judge(given.expect))
    for (const { name, actions, expect } of given.steps ?? []) {
      await play.act(actions)
      await compare(`after the step "${name}"`, expect, await play.judge(expect))
    }
    refused = play.refused()
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
  }
  return { name: given.name, depth: depth.name, judged, wrong, told, refused, failure }
}
