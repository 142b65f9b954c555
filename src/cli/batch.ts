import type { Terminal } from './terminal.ts'

/**
 * Answers each line of stdin, one JSON object, by one line of JSON, in order. A line that is not such an
 * object is answered by an error of its own, so that answers and questions stay in step. Blank lines are left out.
 */
export async function answerLines(
  terminal: Terminal,
  answer: (question: Readonly<Record<string, unknown>>) => unknown,
): Promise<void> {
  for await (const line of terminal.lines()) {
    if (line.trim() === '') continue
    const question = objectOf(line)
    const said =
      question === null ? { error: { message: 'The line is not a JSON object.' } } : answer(question)
    terminal.out(JSON.stringify(said))
  }
}

function objectOf(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value = JSON.parse(line) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}
