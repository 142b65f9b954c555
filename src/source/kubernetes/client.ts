import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { SecureContext } from 'node:tls'
import type { ApiAccess } from './access.ts'
import { chunksOf, SilentAnswer, wholeText } from './answer.ts'
import type { CallOptions, KubernetesApi, StreamListener } from './api.ts'
import { answeredError, unansweredError } from './api-error.ts'
import { VERSION_PATH } from './api-path.ts'
import { Credentials } from './credentials.ts'
import { JsonLines } from './json-lines.ts'

export interface ClientLimits {
  /** How long a connection may take to stand, TLS included. */
  readonly connectMs: number
  /** How long the first byte of an answer may take; the API server itself lets a request queue for up to 15 s. */
  readonly answerMs: number
  /** How long an answer may pause. */
  readonly idleMs: number
  /** How long a stream may be silent: a watch has a bookmark every minute. */
  readonly silenceMs: number
  readonly mostBytes: number
  /** etcd takes objects of 1.5 MB; as JSON they grow by less than ten times. */
  readonly longestLine: number
}

const LIMITS: ClientLimits = {
  connectMs: 5_000,
  answerMs: 20_000,
  idleMs: 15_000,
  silenceMs: 100_000,
  mostBytes: 64 * 1024 * 1024,
  longestLine: 16 * 1024 * 1024,
}

/**
 * After these 5 s the kernel asks the peer every second, ten times (Node's own figures): a machine that vanished without
 * a word is noticed within 15 s. A server that hangs still answers such questions; that is what `Pulse` is for.
 */
const KEEPALIVE_MS = 5_000
/** The API server closes idle connections after 90 s. */
const IDLE_CONNECTION_MS = 60_000

/** The only door to Kubernetes. Opens nothing yet. */
export function openKubernetes(access: ApiAccess, limits: Partial<ClientLimits> = {}): KubernetesApi {
  return new HttpApi(access, { ...LIMITS, ...limits })
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: string
  readonly contentType?: string
  readonly options: CallOptions
}

class HttpApi implements KubernetesApi {
  readonly name: string
  private readonly access: ApiAccess
  private readonly root: URL
  private readonly limits: ClientLimits
  private readonly credentials: Credentials
  private agent: http.Agent | null = null
  private agentContext: SecureContext | null = null

  constructor(access: ApiAccess, limits: ClientLimits) {
    this.name = access.server
    this.access = access
    this.root = new URL(access.server)
    this.limits = limits
    this.credentials = new Credentials(access)
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
      throw error
    }
    if (lines.cut) throw this.explain(new Error('the answer ended in the middle of a line'))
    return 'ended'
  }

  close(): void {
    this.agent?.destroy()
    this.agent = null
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
      throw error instanceof SilentAnswer ? this.explain(error) : error
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
    const agent = await this.freshAgent()
    try {
      return await this.send(call, token, agent)
    } catch (error) {
      // An idle connection that the server closed at this very moment says nothing about the server.
      if (!(error instanceof StaleConnection) || call.method !== 'GET') throw this.explain(error)
      return await this.send(call, token, agent).catch(again => Promise.reject(this.explain(again)))
    }
  }

  private send(call: Call, token: string | null, agent: http.Agent): Promise<IncomingMessage> {
    const { method, path, body, contentType, options } = call
    const headers: http.OutgoingHttpHeaders = { accept: 'application/json', 'user-agent': 'podfence' }
    if (token !== null) headers.authorization = `Bearer ${token}`
    if (body !== undefined) {
      headers['content-type'] = contentType
      headers['content-length'] = Buffer.byteLength(body)
    }
    const { protocol, hostname, port, pathname } = this.root
    const secure = protocol === 'https:'
    const request = (secure ? https : http).request({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port || (secure ? 443 : 80),
      method,
      path: `${pathname.replace(/\/$/, '')}${path}`,
      agent,
      headers,
      ...(options.signal ? { signal: options.signal } : {}),
    })
    request.end(body)
    return this.answerTo(request, options.answerMs ?? this.limits.answerMs)
  }

  private answerTo(request: ClientRequest, answerMs: number): Promise<IncomingMessage> {
    const { connectMs } = this.limits
    return new Promise((resolve, reject) => {
      const late = (what: string, ms: number) =>
        setTimeout(() => request.destroy(new Error(`${what} within ${ms} ms`)), ms)
      let timer = late('no connection', connectMs)
      const stands = () => {
        clearTimeout(timer)
        timer = late('no answer', answerMs)
      }
      request.on('socket', socket => {
        socket.setKeepAlive(true, KEEPALIVE_MS)
        if (request.reusedSocket) stands()
        else socket.once(request.protocol === 'https:' ? 'secureConnect' : 'connect', stands)
      })
      request.on('response', answer => {
        clearTimeout(timer)
        resolve(answer)
      })
      request.on('error', error => {
        clearTimeout(timer)
        const stale = request.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET'
        reject(stale ? new StaleConnection(error.message, { cause: error }) : error)
      })
    })
  }

  /** Keeps connections, but for those made with certificates that have been replaced since. */
  private async freshAgent(): Promise<http.Agent> {
    const options = { keepAlive: true, maxFreeSockets: 4, timeout: IDLE_CONNECTION_MS }
    if (this.root.protocol === 'http:') {
      this.agent ??= new http.Agent(options)
      return this.agent
    }
    const secureContext = await this.credentials.secureContext()
    if (this.agent !== null && secureContext === this.agentContext) return this.agent
    for (const idle of Object.values(this.agent?.freeSockets ?? {}).flat()) idle?.destroy()
    const { serverName, insecure } = this.access
    this.agentContext = secureContext
    this.agent = new https.Agent({
      ...options,
      secureContext,
      rejectUnauthorized: !insecure,
      ...(serverName === null ? {} : { servername: serverName }),
    })
    return this.agent
  }

  /** Our own words for what Node throws. */
  private readonly explain = (error: unknown): Error => unansweredError(this.name, error)
}

/** The server closed a connection that we were about to use again. */
class StaleConnection extends Error {}

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
