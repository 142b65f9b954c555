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

export const LIMITS: ClientLimits = {
  connectMs: 5_000,
  answerMs: 20_000,
  idleMs: 15_000,
  silenceMs: 100_000,
  mostBytes: 64 * 1024 * 1024,
  longestLine: 16 * 1024 * 1024,
}
