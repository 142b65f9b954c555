import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PodfenceError } from '../errors.ts'
import type { Listen } from './setting-kinds.ts'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** What a path answers; `body` is the request's, empty for GET. */
export type Handler = (body: string, query: URLSearchParams) => Answer | Promise<Answer>

/** By method and path: `GET /status`. */
export type Routes = Readonly<Record<string, Handler>>

export interface Listener {
  /** Where it listens: the port is the real one when 0 was asked. */
  readonly address: Listen
  close(): Promise<void>
}

/** A question to the agent is a few lines; more is a mistake or an attack. */
const MAX_BODY = 1 << 20

/** Scrapers, probes and people; a local user who opens thousands must not take the agent's file descriptors. */
const MOST_CONNECTIONS = 64

export function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` }
}

/** A server for a few fixed paths. A handler that throws answers 500 and harms nobody else. */
export function createHttpServer(routes: Routes, mostConnections = MOST_CONNECTIONS): Server {
  const server = createServer((request, response) => {
    answer(routes, request)
      .catch((error: unknown) => failure((error as Error).message, 500))
      .then(result => send(request, response, result))
  })
  server.requestTimeout = 10_000
  server.headersTimeout = 10_000
  // Neither a crowd at the door nor an accept that fails may end the agent.
  server.maxConnections = mostConnections
  server.on('error', () => {})
  return server
}

async function answer(routes: Routes, request: IncomingMessage): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const body = await bodyOf(request)
  if (body === null) return failure(`The request is longer than ${MAX_BODY} bytes.`, 413)
  const handler = routes[`${method} ${url.pathname}`]
  if (handler !== undefined) return handler(body, url.searchParams)
  const other = Object.keys(routes).some(route => route.endsWith(` ${url.pathname}`))
  return other
    ? failure(`${method} is not possible here.`, 405)
    : failure(`There is no ${url.pathname} here.`, 404)
}

function failure(message: string, status: number): Answer {
  return json({ error: { message } }, status)
}

/** The request's text; null when it is too long. It is read to its end all the same, so that the asker gets the answer. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length
    if (size <= MAX_BODY) pieces.push(piece)
  }
  return size > MAX_BODY ? null : Buffer.concat(pieces).toString('utf8')
}

function send(request: IncomingMessage, response: ServerResponse, result: Answer): void {
  response.writeHead(result.status, {
    'content-type': result.type,
    'content-length': Buffer.byteLength(result.body),
    'cache-control': 'no-store',
  })
  response.end(request.method === 'HEAD' ? undefined : result.body)
}

/**
 * Serves `routes` at a TCP address. Throws CONFIG_INVALID, naming `what`, when the address cannot be had
 * (taken, not ours, not allowed); the caller decides whether to live without it.
 */
export async function listenHttp(what: string, address: Listen, routes: Routes): Promise<Listener> {
  const server = createHttpServer(routes)
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => {
      const reason =
        (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
          ? 'is in use'
          : `cannot be used (${error.message})`
      reject(
        new PodfenceError('CONFIG_INVALID', `${what}: ${address.host}:${address.port} ${reason}.`, {
          cause: error,
        }),
      )
    })
    server.listen({ host: address.host, port: address.port }, resolve)
  })
  const { port } = server.address() as AddressInfo
  return { address: { host: address.host, port }, close: () => closeServer(server) }
}

export async function closeServer(server: Server): Promise<void> {
  await new Promise<void>(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
