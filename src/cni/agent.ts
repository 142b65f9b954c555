import { request } from 'node:http'
import type { CniNode } from '../runtime/cni/desk.ts'
import { CniFailure } from '../runtime/cni/failure.ts'
import type { DelRequest, GcRequest, PodRequest } from '../runtime/cni/request.ts'
import type { CniErrorBody } from '../runtime/cni/routes.ts'

/** The agent's answer comes so long before the plugin gives up, so that its reason is told. */
const ANSWER_MS = 500

/** The agent behind its CNI socket. Every method throws CniFailure: TRY_AGAIN when nobody answers in time. */
export class Agent {
  readonly #socket: string
  readonly #deadline: number

  /** `deadline` on the clock of `performance.now`. */
  constructor(socket: string, deadline: number) {
    this.#socket = socket
    this.#deadline = deadline
  }

  async node(): Promise<CniNode> {
    return (await this.#ask('GET', '/node')) as CniNode
  }

  async status(): Promise<void> {
    await this.#ask('GET', '/status')
  }

  async add(asked: Omit<PodRequest, 'within'>): Promise<void> {
    await this.#ask('POST', '/add', { ...asked, within: this.#within() })
  }

  async check(asked: Omit<PodRequest, 'within'>): Promise<void> {
    await this.#ask('POST', '/check', { ...asked, within: this.#within() })
  }

  async del(asked: DelRequest): Promise<void> {
    await this.#ask('POST', '/del', asked)
  }

  async gc(asked: GcRequest): Promise<void> {
    await this.#ask('POST', '/gc', asked)
  }

  #left(): number {
    return Math.max(1, this.#deadline - performance.now())
  }

  #within(): number {
    return Math.round(Math.max(0, this.#left() - ANSWER_MS))
  }

  async #ask(method: string, path: string, asked?: object): Promise<unknown> {
    const { status, text } = await this.#send(method, path, asked === undefined ? '' : JSON.stringify(asked))
    const answer = read(text)
    if (status === 200) return answer
    const { code, msg, details } = answer as Partial<CniErrorBody>
    if (typeof code === 'number') throw new CniFailure(code, String(msg), details)
    throw new CniFailure('UNEXPECTED', `The agent answered ${status} to ${method} ${path}: ${text.trim()}`)
  }

  #send(method: string, path: string, body: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error) => {
        clearTimeout(timer)
        reject(new CniFailure('TRY_AGAIN', this.#reason(error), 'See that `podfence agent` runs.'))
      }
      const asked = request({ socketPath: this.#socket, method, path, agent: false }, response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (piece: string) => {
          text += piece
        })
        response.on('error', failed)
        response.on('end', () => {
          clearTimeout(timer)
          resolve({ status: response.statusCode ?? 0, text })
        })
      })
      const timer = setTimeout(() => asked.destroy(new Error('it did not answer in time')), this.#left())
      asked.on('error', failed)
      asked.end(body)
    })
  }

  #reason(error: Error): string {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ECONNREFUSED'
      ? `No agent answers at ${this.#socket}.`
      : `The agent at ${this.#socket} cannot be asked: ${error.message}.`
  }
}

function read(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
