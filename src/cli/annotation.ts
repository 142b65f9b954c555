import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { compileAnnotation } from '../model/annotation.ts'
import { answerLines } from './batch.ts'
import type { Terminal } from './terminal.ts'

/** How a command ends whose annotation is invalid: the same as for any other invalid object. */
const INVALID = 2

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  return new Command('annotation')
    .description(
      'Compiles a policy annotation to the rules that it means, as JSON. An invalid one prints the error ' +
        `with its column and ends with ${INVALID}.`,
    )
    .argument('[text]', "the annotation: 'allow tcp from label role=web to ports 80'")
    .option('-n, --namespace <name>', "the pod's namespace", 'default')
    .option('--batch', 'one JSON object {"namespace","annotation"} a line from stdin, one answer a line')
    .option('-q, --quiet', 'no warnings about what is accepted but perhaps not meant')
    .action(async (text: string | undefined, options: { namespace: string; batch?: true; quiet?: true }) => {
      if (options.batch) {
        await answerLines(
          terminal,
          question => compiled(question.annotation, question.namespace ?? 'default').json,
        )
        return
      }
      if (text === undefined)
        throw new PodfenceError('USAGE', 'Give the annotation as an argument, or --batch.')
      const { json, warnings, valid } = compiled(text, options.namespace)
      terminal.out(JSON.stringify(json))
      if (!options.quiet)
        for (const { column, message } of warnings) terminal.note(`column ${column}: ${message}`)
      if (!valid) ended(INVALID)
    })
}

interface Answer {
  readonly json: unknown
  readonly warnings: readonly { readonly column: number; readonly message: string }[]
  readonly valid: boolean
}

function compiled(text: unknown, namespace: unknown): Answer {
  if (typeof text !== 'string' || typeof namespace !== 'string') {
    const message = 'The line needs "annotation" and "namespace" as texts.'
    return { json: { error: { message } }, warnings: [], valid: false }
  }
  const result = compileAnnotation(text, namespace)
  if ('error' in result) return { json: { error: result.error }, warnings: [], valid: false }
  return { json: { inbound_rules: result.rules }, warnings: result.parsed.warnings, valid: true }
}
