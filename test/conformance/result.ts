import type { Expectation } from './case.ts'

/** What became of a packet. A half that could not be seen apart is absent. */
export interface Observation {
  readonly allow: boolean
  readonly egress?: boolean
  readonly ingress?: boolean
  /** How that came about, a line a step. */
  readonly trail: readonly string[]
}

export interface CaseResult {
  readonly name: string
  /** Verdicts that count: those without a strength. */
  readonly judged: number
  /** For people: each wrong verdict with its trail. */
  readonly wrong: readonly string[]
  /** Objects that were not taken as they are. */
  readonly refused: readonly string[]
}

export function passes({ judged, wrong, refused }: CaseResult): boolean {
  return judged > 0 && wrong.length === 0 && refused.length === 0
}

/** Compares every verdict that counts with what is observed. */
export function judged(
  step: string,
  expected: readonly Expectation[],
  observe: (expected: Expectation) => Observation,
): { readonly count: number; readonly wrong: readonly string[] } {
  const counting = expected.filter(({ strength }) => strength === undefined)
  const wrong = counting.flatMap(each => {
    const observation = observe(each)
    const differing = (['allow', 'egress', 'ingress'] as const).filter(
      half => observation[half] !== undefined && observation[half] !== each[half],
    )
    return differing.length === 0 ? [] : [wrongText(step, each, observation, differing)]
  })
  return { count: counting.length, wrong }
}

function wrongText(
  step: string,
  { from, to, family, protocol, port, ...expected }: Expectation,
  observation: Observation,
  differing: readonly ('allow' | 'egress' | 'ingress')[],
): string {
  const halves = differing.map(half => `${half} ${expected[half]} expected, ${observation[half]}`)
  return [
    `${step}: ${from} -> ${to} ${family} ${protocol} ${port}: ${halves.join('; ')}`,
    ...observation.trail.map(line => `    ${line}`),
  ].join('\n')
}
