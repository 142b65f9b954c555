import { CommanderError } from 'commander'
import { PodfenceError } from '../errors.ts'
import type { Terminal } from './terminal.ts'

/** True when the command was asked for JSON, so that its failure is JSON too. */
export function wantsJson(args: readonly string[]): boolean {
  return args.some(
    (arg, index) =>
      arg === '-ojson' ||
      arg === '--output=json' ||
      ((arg === '-o' || arg === '--output') && args[index + 1] === 'json'),
  )
}

/** Prints a failure (one sentence and the next step, or JSON) and answers the exit code. */
export function printFailure(error: unknown, terminal: Terminal, json: boolean): number {
  const failure = asFailure(error)
  if (failure === null) return 0
  const { code, message, next, exitCode } = failure
  if (json) terminal.out(JSON.stringify({ schema: 1, error: { code, message, next } }))
  else terminal.note(`podfence: ${message}\n${next}`)
  if (terminal.env.PODFENCE_STACK) terminal.note(String((error as Error)?.stack))
  return exitCode
}

interface Failure {
  readonly code: string
  readonly message: string
  readonly next: string
  readonly exitCode: number
}

/** null: no failure at all (help was asked for). */
function asFailure(error: unknown): Failure | null {
  if (error instanceof PodfenceError) return error
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return null
    return new PodfenceError('USAGE', error.message.replace(/^error: /, '').replaceAll('\n', ' '))
  }
  const message = error instanceof Error ? error.message : String(error)
  const next = 'This should not happen; run again with PODFENCE_STACK=1 and report what it prints.'
  return { code: 'UNEXPECTED', message, next, exitCode: 1 }
}
