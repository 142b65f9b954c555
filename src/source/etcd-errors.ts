import { PodfenceError } from '../errors.ts'
import { HistoryGone, LeaseGone } from './store.ts'

/** How gRPC prints its errors; etcd3 drops the code field when it wraps them, the message keeps it. */
const GRPC_MESSAGE = /^(?:\w*Error: )?(\d+) [A-Z_]+: (.*)$/s

const PERMISSION_DENIED = 7
const UNAUTHENTICATED = 16

const DENIED = [
  'authentication failed',
  'permission denied',
  'invalid auth token',
  'user name is empty',
  'user name not found',
]

const REMEDIES: readonly (readonly [text: string, next: string])[] = [
  [
    'database space exceeded',
    'etcd is full: compact and defragment it, then clear its alarm (`etcdctl alarm disarm`).',
  ],
  [
    'request is too large',
    'etcd refuses requests of this size (`--max-request-bytes`); make the object smaller.',
  ],
]

/** Turns what etcd3 and gRPC throw into our own errors. `store` names the endpoints for the message. */
export function explainEtcdError(error: unknown, store: string): PodfenceError | HistoryGone | LeaseGone {
  if (error instanceof PodfenceError || error instanceof HistoryGone || error instanceof LeaseGone)
    return error
  const message = error instanceof Error ? error.message : String(error)
  const [, code, details = message] = GRPC_MESSAGE.exec(message) ?? []
  if (/revision has been compacted|is a future revision/.test(details))
    return new HistoryGone(details.replace(/^etcdserver: (mvcc: )?/, ''))
  if (details.includes('requested lease not found')) return new LeaseGone(details)
  const sentence = `etcd at ${store}: ${details.replace(/^etcdserver: /, '')}`
  if (
    Number(code) === PERMISSION_DENIED ||
    Number(code) === UNAUTHENTICATED ||
    DENIED.some(text => details.includes(text))
  )
    return new PodfenceError('STORE_DENIED', sentence, { cause: error })
  const next = REMEDIES.find(([text]) => details.includes(text))?.[1]
  return new PodfenceError('STORE_UNREACHABLE', sentence, { cause: error, ...(next ? { next } : {}) })
}

/** True when the request never left this process, so that even a write may be sent elsewhere. */
export function neverSent(error: unknown): boolean {
  return error instanceof Error && /No connection established|Name resolution failed/.test(error.message)
}

/** A password was given, and etcd has authentication off. */
export function authenticationIsOff(error: unknown): boolean {
  return error instanceof Error && error.message.includes('authentication is not enabled')
}
