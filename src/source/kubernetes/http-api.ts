import type { IncomingMessage } from 'node:http'
import { chunksOf, SilentAnswer, wholeText } from './answer.ts'
import type { CallOptions, KubernetesApi, StreamListener } from './api.ts'
import { answeredError, unansweredError } from './api-error.ts'
import { VERSION_PATH } from './api-path.ts'
import type { ClientLimits } from './client-limits.ts'
import type { Credentials } from './credentials.ts'
import { JsonLines, LineTooLong } from './json-lines.ts'

/** A failure of a connection that was open before: the server may have closed it as the request went out. */
export class StaleConnection extends Error {}

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: string
  readonly contentType?: string
  readonly options: CallOptions
}

/** What carries requests to the server. */
export interface Door {
  /** The answer, of whatever status. Throws StaleConnection, and what Node throws. */
  send(call: Call, token: string | null): Promise<IncomingMessage>
  close(): void
}

/** The API's verbs, with our own words for every failure. */
export class HttpApi implements KubernetesApi {
  readonly name: string
  private readonly door: Door
  private readonly credentials: Credentials
  private readonly limits: ClientLimits

  constructor(name: string, door: Door, credentials: Credentials, limits: ClientLimits) {
    this.name = name
    this.door = door
    this.credentials = credentials
    this.limits = limits
  }

  get(path: string, options: CallOptions = {}): Promise<unknown> {
    return this.call({ method: 'GET', path, options })
  }

  create(path: string, object: unknown, options: CallOptions = {}): Promise<unknown> {
    return this.call({ method: 'POST', path, ...json(object), options })
  }

  update(path: string, object: unknown, options: CallOptions = {}): Promise<unknown> {
    return this.call({ method: 'PUT', path, ...json(object), options })
  }

  patch(path: string, changes: unknown, options: CallOptions = {}): Promise<unknown> {
    return this.call({ method: 'PATCH', path, ...json(changes, 'application/merge-patch+json'), options })
  }

  remove(path: string, options: CallOptions = {}): Promise<unknown> {
    return this.call({ method: 'DELETE', path, options })
  }

  async stream(
    path: string,
    listener: StreamListener,
    options: CallOptions = {},
  ): Promise<'ended' | 'silent'> {
    const answer = await this.accepted({ method: 'GET', path, options })
    listener.opened()
    const lines = new JsonLines(this.limits.longestLine)
    try {
      for await (const chunk of chunksOf(answer, this.limits.silenceMs, this.explain)) {
        const whole = lines.take(chunk)
        if (whole.length > 0) listener.lines(whole)
      }
    } catch (error) {
      if (error instanceof SilentAnswer) return 'silent'
      throw error instanceof LineTooLong ? this.explain(error) : error
    }
    if (lines.cut) throw this.explain(new Error('the answer ended in the middle of a line'))
    return 'ended'
  }

  close(): void {
    this.door.close()
  }

  private async call(call: Call): Promise<unknown> {
    const text = await this.textOf(await this.accepted(call))
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw this.explain(new Error('the answer is not JSON', { cause }))
    }
  }

  /** The answer, if it is one of success. */
  private async accepted(call: Call): Promise<IncomingMessage> {
    checkPath(call.path)
    const answer = await this.authorised(call)
    const { statusCode = 0 } = answer
    if (statusCode >= 200 && statusCode < 300) return answer
    throw answeredError(this.name, statusCode, await this.textOf(answer))
  }

  private async textOf(answer: IncomingMessage): Promise<string> {
    const { idleMs, mostBytes } = this.limits
    try {
      return await wholeText(answer, idleMs, mostBytes, this.explain)
    } catch (error) {
      throw this.explain(error)
    }
  }

  /** Once more when the server refuses a token that has been replaced meanwhile. */
  private async authorised(call: Call): Promise<IncomingMessage> {
    const token = await this.credentials.bearer()
    const answer = await this.exchange(call, token)
    if (answer.statusCode !== 401 || !(await this.credentials.renewed(token))) return answer
    answer.resume()
    return await this.exchange(call, await this.credentials.bearer())
  }

  private async exchange(call: Call, token: string | null): Promise<IncomingMessage> {
    try {
      return await this.door.send(call, token)
    } catch (error) {
      // An idle connection that the server closed at this very moment says nothing about the server.
      if (!(error instanceof StaleConnection) || call.method !== 'GET') throw this.explain(error)
      return await this.door.send(call, token).catch(again => Promise.reject(this.explain(again)))
    }
  }

  /** Our own words for what Node throws. */
  private readonly explain = (error: unknown): Error => unansweredError(this.name, error)
}

function json(
  object: unknown,
  contentType = 'application/json',
): { readonly body: string; readonly contentType: string } {
  return { body: JSON.stringify(object), contentType }
}

/** Nothing outside the API is asked for, whatever a caller was made to put into a path. */
function checkPath(path: string): void {
  const [plain = ''] = path.split('?')
  const within = plain === VERSION_PATH || /^\/(api|apis)\/[\x21-\x7e]+$/.test(plain)
  if (!within || /(^|\/)(\.|%2e){0,2}(\/|$)/i.test(plain.slice(1)))
    throw new Error(`${JSON.stringify(path)} is no path of the Kubernetes API`)
}
