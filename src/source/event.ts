/**
 * What every source (etcd, files, later Kubernetes) yields. All of them speak Calico's v1 tree:
 * a key such as `/calico/v1/policy/profile/web/rules` and its value as text.
 */
export interface KeyChange {
  readonly key: string
  /** The value's text (JSON for most keys); `null` when the key is gone. */
  readonly value: string | null
}

export type SourceEvent =
  /** The complete state of the store. Everything that is not in it is gone. */
  | { readonly kind: 'snapshot'; readonly revision: string; readonly entries: ReadonlyMap<string, string> }
  /** Changes since the last event, in the order in which the store made them; one store transaction is never split. */
  | { readonly kind: 'changes'; readonly revision: string; readonly changes: readonly KeyChange[] }
  /** The source lost or regained its store. What was seen last still stands. */
  | { readonly kind: 'connection'; readonly connected: boolean; readonly reason: string }

/** A source watches its store until `signal` aborts, and never gives up: every failure is an event, then another try. */
export interface Source {
  readonly name: string
  /** Rejects only when `emit` throws. */
  run(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void>
  /** Asks for a full snapshot as soon as possible; `reason` is for the log. */
  relist(reason: string): void
}

/**
 * A value that its source could not read as text, or refused itself. No decoder can take it for a good value, since
 * no good value holds a control character at its start.
 */
export function refused(reason: string): string {
  return `\u0000${reason}`
}

/** The reason given to `refused`, or null for every other value. */
export function refusalOf(value: string): string | null {
  return value.startsWith('\u0000') ? value.slice(1) : null
}
