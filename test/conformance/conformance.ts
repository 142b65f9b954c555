import type { Case } from './case.ts'
import type { Depth } from './depth.ts'
import { depthLine, resultLines, tally } from './report.ts'
import { type CaseResult, playCase } from './runner.ts'

/**
 * Plays all cases at each depth, one depth after the other, and tells each wrong verdict; the last line is
 * `N passed, N failed`. Resolves with whether there were cases and all have passed.
 */
export async function playAll(
  cases: readonly Case[],
  depths: readonly (() => Promise<Depth>)[],
  say: (line: string) => void,
): Promise<boolean> {
  const runs: CaseResult[][] = []
  for (const open of depths) {
    const depth = await open()
    const began = performance.now()
    const results: CaseResult[] = []
    runs.push(results)
    try {
      for (const given of cases) {
        const result = await playCase(given, depth)
        results.push(result)
        for (const line of resultLines(result)) say(line)
      }
    } finally {
      await depth.close()
    }
    say(depthLine(depth.name, results, (performance.now() - began) / 60_000))
  }
  const { passed, failed } = tally(runs)
  say(`${passed} passed, ${failed} failed`)
  return failed === 0 && passed > 0
}
