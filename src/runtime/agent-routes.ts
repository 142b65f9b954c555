import { PodfenceError } from '../errors.ts'
import type { ExplainAnswer, ExplainQuestion } from './explain.ts'
import { type Answer, json, type Routes } from './http.ts'
import type { Status } from './status.ts'

/** What the agent answers at its socket. */
export interface AgentAnswers {
  status(): Status
  /** The verdict for one packet, from the policy that is in force. */
  explain(question: ExplainQuestion): ExplainAnswer
  /** One stage of the flow as text, as `podfence render --stage` names them. */
  render(stage: string): string | Promise<string>
}

export function agentRoutes(answers: AgentAnswers): Routes {
  return {
    'GET /status': () => json(answers.status()),
    'POST /explain': body => answered(() => json(answers.explain(questionOf(body)))),
    'GET /render': (_, query) =>
      answered(async () => {
        const body = await answers.render(query.get('stage') ?? 'text')
        return { status: 200, type: 'text/plain; charset=utf-8', body }
      }),
  }
}

/** A failure of the catalogue goes to the asker with its code, so that the command there exits as it would here. */
async function answered(work: () => Answer | Promise<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof PodfenceError)) throw error
    return json({ error: { code: error.code, message: error.message, next: error.next } }, 422)
  }
}

const NUMBERS = ['sourcePort', 'destinationPort', 'icmpType', 'icmpCode'] as const

function questionOf(body: string): ExplainQuestion {
  const given = parsed(body)
  const { source, destination, protocol } = given
  if (typeof source !== 'string' || typeof destination !== 'string' || !isByte(protocol))
    throw new PodfenceError('USAGE', 'A question has source, destination and the protocol number.')
  const numbers = NUMBERS.filter(name => given[name] !== undefined).map(name => {
    const value = given[name]
    if (!Number.isInteger(value)) throw new PodfenceError('USAGE', `${name} must be a whole number.`)
    return [name, value]
  })
  return { source, destination, protocol, ...Object.fromEntries(numbers) }
}

function isByte(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255
}

function parsed(body: string): Record<string, unknown> {
  try {
    const value = JSON.parse(body) as unknown
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Told below, with what was expected.
  }
  throw new PodfenceError('USAGE', 'The question must be a JSON object.')
}
