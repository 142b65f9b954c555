import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { SecureContext } from 'node:tls'
import type { ApiAccess } from './access.ts'
import type { KubernetesApi } from './api.ts'
import { type ClientLimits, LIMITS } from './client-limits.ts'
import { Credentials } from './credentials.ts'
import { type Call, type Door, HttpApi, StaleConnection } from './http-api.ts'

/**
 * After these 5 s the kernel asks the peer every second, ten times (Node's own figures): a machine that vanished without
 * a word is noticed within 15 s. A server that hangs still answers such questions; that is what `Pulse` is for.
 */
const KEEPALIVE_MS = 5_000
/** The API server closes idle connections after 90 s. */
const IDLE_CONNECTION_MS = 60_000
const CLOSED: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE'])

/** The only door to Kubernetes. Opens nothing yet. */
export function openKubernetes(access: ApiAccess, limits: Partial<ClientLimits> = {}): KubernetesApi {
  const credentials = new Credentials(access)
  const all = { ...LIMITS, ...limits }
  return new HttpApi(access.server, new Connections(access, credentials, all), credentials, all)
}

class Connections implements Door {
  private readonly access: ApiAccess
  private readonly root: URL
  private readonly credentials: Credentials
  private readonly limits: ClientLimits
  private agent: http.Agent | null = null
  private agentContext: SecureContext | null = null

  constructor(access: ApiAccess, credentials: Credentials, limits: ClientLimits) {
    this.access = access
    this.root = new URL(access.server)
    this.credentials = credentials
    this.limits = limits
  }

  /** The answer to a request, of whatever status. Throws StaleConnection, and what Node throws. */
  async send(call: Call, token: string | null): Promise<IncomingMessage> {
    const agent = await this.freshAgent()
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
    return await this.answerTo(request, options.answerMs ?? this.limits.answerMs)
  }

  close(): void {
    this.agent?.destroy()
    this.agent = null
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
        const stale = request.reusedSocket && CLOSED.has((error as NodeJS.ErrnoException).code)
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
}
