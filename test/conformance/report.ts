import type { Expectation } from './case.ts'
import { type CaseResult, type Deviation, hasPassed, type Part } from './runner.ts'

/** A case that did not pass, in words; nothing for one that did. */
export function resultLines(result: CaseResult): string[] {
  if (hasPassed(result)) return []
  const { name, depth, judged, wrong, refused, failure } = result
  return [
    `not ok: ${name} (${depth}): ${wrong.length} of ${judged} verdicts are wrong`,
    ...wrong.flatMap(deviationLines),
    ...refused.map(reason => `  refused: ${reason}`),
    ...(failure === null ? [] : [`  could not be played to its end: ${failure}`]),
  ]
}

function deviationLines({ when, expected, answer, parts, trail }: Deviation): string[] {
  const differences = parts.map(part => difference(part, expected[part], answer[part]!))
  return [`  ${when}: ${packet(expected)}: ${differences.join('; ')}`, ...trail.map(line => `      ${line}`)]
}

function difference(part: Part, expected: boolean, got: boolean | null): string {
  const what = part === 'allow' ? '' : `${part} `
  return `${what}${verdict(expected)} expected, ${got === null ? 'that cannot be told' : verdict(got)}`
}

function packet({ from, to, family, protocol, port, via, viaPort }: Expectation): string {
  const called = via === undefined ? '' : ` called as ${via} ${viaPort}`
  return `${from} -> ${to} ${protocol} ${port}${called} ${family}`
}

function verdict(allow: boolean): string {
  return allow ? 'allow' : 'deny'
}

/** What one depth came to: `rules: 83 cases, 20000 verdicts, 0 wrong, 1.2 minutes; told only: doc 90 (2 otherwise)`. */
export function depthLine(depth: string, results: readonly CaseResult[], minutes: number): string {
  const sum = (count: (result: CaseResult) => number) =>
    results.reduce((total, result) => total + count(result), 0)
  const strengths = [...new Set(results.flatMap(({ told }) => [...told.keys()]))].sort()
  const told = strengths.map(strength => {
    const asked = sum(result => result.told.get(strength)?.asked ?? 0)
    return `${strength} ${asked} (${sum(result => result.told.get(strength)?.otherwise ?? 0)} otherwise)`
  })
  const counts = [
    `${results.length} cases`,
    `${sum(({ judged }) => judged)} verdicts`,
    `${sum(({ wrong }) => wrong.length)} wrong`,
    `${minutes.toFixed(1)} minutes`,
  ]
  const rest = told.length === 0 ? '' : `; told only: ${told.join(', ')}`
  return `${depth}: ${counts.join(', ')}${rest}`
}

/** A case passes when it does at every depth it was played at; `runs` has the results of each, in the same order. */
export function tally(runs: readonly (readonly CaseResult[])[]): {
  readonly passed: number
  readonly failed: number
} {
  const passes = (runs[0] ?? []).map((_, index) => runs.every(results => hasPassed(results[index]!)))
  const passed = passes.filter(Boolean).length
  return { passed, failed: passes.length - passed }
}
