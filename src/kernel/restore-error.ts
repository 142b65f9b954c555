import { PodfenceError } from '../errors.ts'
import type { Ended } from './process.ts'

/**
 * Why a transaction has no acknowledgement. `refused`: the tool or the kernel said no, and the table is as
 * it was. `lost`: the tool ended without a word of its own (killed, crashed): anything may have happened.
 * `busy`: it still waited for the lock when our patience ended.
 */
export type RestoreFailure = 'refused' | 'lost' | 'busy'

export class RestoreError extends PodfenceError {
  readonly failure: RestoreFailure
  /** How many of the transactions handed over together were acknowledged before this one failed. */
  readonly acknowledged: number
  /** The tool's own words, without its advice to read the manual. */
  readonly said: string
  /** The line it named, as written by us; null when it named none or a mere COMMIT. */
  readonly line: string | null

  constructor(
    failure: RestoreFailure,
    what: string,
    details: { readonly acknowledged: number; readonly said: string; readonly line: string | null },
  ) {
    const culprit = details.line === null ? '' : ` at \`${details.line}\``
    const words = details.said === '' ? '' : `: ${details.said}`
    super(failure === 'busy' ? 'KERNEL_BUSY' : 'KERNEL_REFUSED', `${what}${words}${culprit}`)
    this.name = 'RestoreError'
    this.failure = failure
    this.acknowledged = details.acknowledged
    this.said = details.said
    this.line = details.line
  }
}

/** Lines of stderr that mean nothing is wrong: nft tells that legacy tables exist too. */
export function isRemark(line: string): boolean {
  return line.trim() === '' || line.startsWith('# Warning')
}

/**
 * What iptables-restore wrote to stderr, as one sentence and the number of the line that it blames
 * (counted from 1 over everything it has read), or null. The forms are those of 1.8.x:
 * `X: line 20 failed`, `Error occurred at line: 5`, `line 5: RULE_APPEND failed (Invalid argument): ...`.
 */
export function readComplaint(stderr: readonly string[]): { said: string; lineNumber: number | null } {
  let lineNumber: number | null = null
  const said: string[] = []
  for (const line of stderr) {
    if (isRemark(line) || line.startsWith('Try `')) continue
    const named = /(?:\bline |occurred at line: )(\d+)/.exec(line)
    if (named !== null && lineNumber === null) lineNumber = Number(named[1])
    if (/^Error occurred at line: \d+$/.test(line)) continue
    said.push(line.replace(/^[\w-]+ v[\d.]+ \((?:nf_tables|legacy)\): ?/, '').trim())
  }
  return { said: said.filter(words => words !== '').join('; '), lineNumber }
}

/** One clause for people: how the tool ended. */
export function howEnded(file: string, end: Ended): string {
  if (end.missing) return `there is no program ${file}`
  if (end.timedOut) return `${file} did not end in time`
  return end.signal === null ? `${file} ended with ${end.code}` : `${file} was ended by ${end.signal}`
}

/** The error for lines of which `offset` others were read before, and some acknowledged. */
export function failureOf(
  failure: RestoreError['failure'],
  what: string,
  stderr: readonly string[],
  flight: { readonly lines: readonly string[]; readonly offset: number; readonly acknowledged: number },
): RestoreError {
  const { said, lineNumber } = readComplaint(stderr)
  const line = lineNumber === null ? undefined : flight.lines[lineNumber - flight.offset - 1]
  const blamed = line === undefined || line === 'COMMIT' ? null : line
  return new RestoreError(failure, what, { acknowledged: flight.acknowledged, said, line: blamed })
}
