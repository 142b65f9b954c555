import { request } from 'node:http'
import { CATALOGUE, type ErrorCode, PodfenceError } from '../errors.ts'
import { socketPath } from '../runtime/agent-socket.ts'
import type { ExplainAnswer, ExplainQuestion } from '../runtime/explain.ts'
import type { Status } from '../runtime/status.ts'

/** The running agent of this node, asked at its socket. Every method throws AGENT_UNREACHABLE when there is none. */
export class AgentClient {
  readonly #path: string

  constructor(runDir: string) {
    this.#path = socketPath(runDir)
  }

  async status(): Promise<Status> {
    return JSON.parse(await this.#ask('GET', '/status')) as Status
  }

  async explain(question: ExplainQuestion): Promise<ExplainAnswer> {
    return JSON.parse(await this.#ask('POST', '/explain', JSON.stringify(question))) as ExplainAnswer
  }

  render(stage: string): Promise<string> {
    return this.#ask('GET', `/render?stage=${encodeURIComponent(stage)}`)
  }

  async #ask(method: string, path: string, body = ''): Promise<string> {
    const { status, text } = await send(this.#path, method, path, body)
    if (status === 200) return text
    throw failureOf(text, status)
  }
}

/** The agent answers its own questions within milliseconds; one that hangs must not hang the asker. */
const PATIENCE_MS = 10_000

function send(
  socket: string,
  method: string,
  path: string,
  body: string,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const unreachable = (cause: Error) =>
      reject(new PodfenceError('AGENT_UNREACHABLE', reason(socket, cause), { cause }))
    const question = request({ socketPath: socket, method, path, timeout: PATIENCE_MS }, response => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', unreachable)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') }),
      )
    })
    question.on('timeout', () => question.destroy(new Error(`no answer for ${PATIENCE_MS / 1000} s`)))
    question.on('error', unreachable)
    question.end(body)
  })
}

function reason(socket: string, error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return `No agent is running: nobody answers at ${socket}.`
  if (code === 'EACCES') return `The agent's socket ${socket} is not yours to use; try as root.`
  return `The agent at ${socket} does not answer: ${error.message}.`
}

/** The agent's own failure, as it would have been here. */
function failureOf(text: string, status: number): Error {
  try {
    const { error } = JSON.parse(text) as { error: { code: ErrorCode; message: string; next: string } }
    if (error.code in CATALOGUE) return new PodfenceError(error.code, error.message, { next: error.next })
    return new Error(error.message)
  } catch {
    return new Error(`The agent answered ${status}.`)
  }
}
