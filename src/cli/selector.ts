import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { decodeLabels } from '../model/labels.ts'
import { Refusal } from '../model/refusal.ts'
import { parseSelector } from '../model/selector.ts'
import { SelectorError } from '../model/selector-token.ts'
import { answerLines } from './batch.ts'
import type { Terminal } from './terminal.ts'

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  return new Command('selector')
    .description('Tells whether a selector matches labels, as JSON. An invalid selector ends with 2.')
    .argument('[selector]', `the selector: "role == 'web' && has(zone)"`)
    .argument('[labels...]', 'KEY=VALUE')
    .option('--batch', 'one JSON object {"selector","labels"} a line from stdin, one answer a line')
    .action(async (selector: string | undefined, labels: string[], options: { batch?: true }) => {
      if (options.batch) {
        await answerLines(terminal, question => answer(question.selector, question.labels))
        return
      }
      if (selector === undefined)
        throw new PodfenceError('USAGE', 'Give a selector as an argument, or --batch.')
      const said = answer(selector, Object.fromEntries(labels.map(pair)))
      terminal.out(JSON.stringify(said))
      if ('error' in said) ended(2)
    })
}

function pair(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new PodfenceError('USAGE', `A label is KEY=VALUE, not ${JSON.stringify(text)}.`)
  return [text.slice(0, at), text.slice(at + 1)]
}

type Answer = { match: boolean } | { error: { column?: number; message: string; remedy?: string } }

function answer(selector: unknown, labels: unknown): Answer {
  if (typeof selector !== 'string') return { error: { message: 'The line needs "selector" as a text.' } }
  try {
    return { match: parseSelector(selector).matches(decodeLabels(labels, 'labels')) }
  } catch (error) {
    if (error instanceof SelectorError)
      return { error: { column: error.column, message: error.reason, remedy: error.remedy } }
    if (error instanceof Refusal) return { error: { message: error.reason, remedy: error.remedy } }
    throw error
  }
}
