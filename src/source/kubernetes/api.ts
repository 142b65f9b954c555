/** What podfence asks of a Kubernetes API. Every call throws ApiError. */
export interface KubernetesApi {
  /** For messages: where it is. */
  readonly name: string
  get(path: string, options?: CallOptions): Promise<unknown>
  create(path: string, object: unknown, options?: CallOptions): Promise<unknown>
  /** Replaces the whole object; with its `resourceVersion` in it, only as it was read (409 Conflict otherwise). */
  update(path: string, object: unknown, options?: CallOptions): Promise<unknown>
  /** A merge patch: what is named replaces what is there, null removes it. */
  patch(path: string, changes: unknown, options?: CallOptions): Promise<unknown>
  remove(path: string, options?: CallOptions): Promise<unknown>
  /**
   * Reads an answer of JSON lines for as long as it lasts. Resolves with `ended` when the server ended it, and with
   * `silent` when it said nothing for too long; rejects when the connection breaks, the signal aborts, a line is of
   * absurd size (the cause is LineTooLong then), and with whatever the listener throws.
   */
  stream(path: string, listener: StreamListener, options?: CallOptions): Promise<'ended' | 'silent'>
  close(): void
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** How long the first byte may take, in ms; the client's own limit when absent. */
  readonly answerMs?: number
}

export interface StreamListener {
  /** The server has accepted the request. */
  opened(): void
  /** The lines that came together. */
  lines(lines: readonly string[]): void
}
