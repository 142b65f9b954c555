import { readFileSync } from 'node:fs'
import type { IOptions } from 'etcd3'
import { PodfenceError } from '../errors.ts'

export interface EtcdOptions {
  /** `https://10.0.0.1:2379` or `http://...`; without a scheme it is TLS when a certificate file is named. */
  readonly endpoints: readonly string[]
  /** PEM files; read again at every new connection, so renewed certificates are taken up. */
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** How long a watch may take to stand. */
  readonly dialTimeoutMs?: number
  /** How long any other request may take. */
  readonly requestTimeoutMs?: number
  /** etcd forbids pings more frequent than every 5 s unless told otherwise (`--grpc-keepalive-min-time`). */
  readonly keepaliveTimeMs?: number
  readonly keepaliveTimeoutMs?: number
}

export const DIAL_TIMEOUT_MS = 5_000
export const REQUEST_TIMEOUT_MS = 10_000
const KEEPALIVE_TIME_MS = 6_000
const KEEPALIVE_TIMEOUT_MS = 4_000

/** etcd3's circuit breaker answers for seconds in the place of an etcd that is back already; we retry ourselves. */
const AT_ONCE = {
  execute: async (request: (context: unknown) => unknown) => request({}),
  onSuccess: () => ({ dispose: () => undefined }),
  onFailure: () => ({ dispose: () => undefined }),
}

/** The endpoints with their scheme. Throws CONFIG_INVALID when they cannot be meant. */
export function checkedEndpoints(options: EtcdOptions): string[] {
  const { caFile, certFile, keyFile } = options
  const invalid = (message: string) => new PodfenceError('CONFIG_INVALID', message)
  if (Boolean(certFile) !== Boolean(keyFile))
    throw invalid('etcd: a client certificate and its key are needed together')
  const files = Boolean(caFile ?? certFile)
  const endpoints = options.endpoints.map(text => {
    const endpoint = /^https?:\/\//.test(text) ? text : `${files ? 'https' : 'http'}://${text}`
    const url = URL.canParse(endpoint) ? new URL(endpoint) : null
    if (!url?.hostname || url.username || url.pathname !== '/' || url.search || url.hash)
      throw invalid(`etcd endpoint ${JSON.stringify(text)} is not of the form https://HOST:PORT`)
    // What the URL drops as a scheme's default port, gRPC would not know.
    return `${url.protocol}//${url.hostname}:${/:(\d+)\/?$/.exec(endpoint)?.[1] ?? 2379}`
  })
  if (endpoints.length === 0) throw invalid('etcd: no endpoint is configured')
  const secure = endpoints.filter(endpoint => endpoint.startsWith('https:')).length
  if (secure !== 0 && secure !== endpoints.length)
    throw invalid('etcd endpoints must be all https or all http')
  if (files && secure === 0)
    throw invalid('etcd: certificate files are named, but the endpoints are http; write https')
  return endpoints
}

/** What etcd3 is opened with, for one endpoint. Throws CONFIG_INVALID when a certificate file cannot be read. */
export function clientSettings(options: EtcdOptions, endpoint: string, withPassword: boolean): IOptions {
  const { username, password, caFile, certFile, keyFile } = options
  const credentials = {
    ...(caFile ? { rootCertificate: pem(caFile) } : {}),
    ...(certFile ? { certChain: pem(certFile) } : {}),
    ...(keyFile ? { privateKey: pem(keyFile) } : {}),
  } as NonNullable<IOptions['credentials']>
  const requestTimeout = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
  return {
    hosts: [endpoint],
    ...(caFile || certFile ? { credentials } : {}),
    ...(username && withPassword ? { auth: { username, password: password ?? '' } } : {}),
    defaultCallOptions: context => (context.isStream ? {} : { deadline: Date.now() + requestTimeout }),
    faultHandling: { host: () => AT_ONCE as never, global: AT_ONCE as never },
    grpcOptions: {
      'grpc.keepalive_time_ms': options.keepaliveTimeMs ?? KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? KEEPALIVE_TIMEOUT_MS,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    },
  }
}

function pem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new PodfenceError('CONFIG_INVALID', `etcd: cannot read ${file}: ${(cause as Error).message}`, {
      cause,
    })
  }
}
