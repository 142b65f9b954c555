/** What podfence asks of a key-value store with a history (etcd v3), and nothing more. */
export interface Store {
  /** For messages: where the store is. */
  readonly name: string
  /**
   * All keys under `prefix` in pages, each page of one and the same revision.
   * Throws HistoryGone when that revision is compacted away while the pages are read.
   */
  pages(prefix: string, pageSize: number, signal: AbortSignal): AsyncIterable<StorePage>
  /** One key as it was at `revision` (absent: now). Throws HistoryGone when the store does not know that revision. */
  get(key: string, revision?: bigint): Promise<{ header: StoreHeader; entry: StoreEntry | null }>
  /** How many keys were under `prefix` at `revision`. Throws HistoryGone as `get` does. */
  count(prefix: string, revision: bigint): Promise<number>
  /**
   * Every change under `prefix` from revision `from` on (inclusive), until `signal` aborts or the store cancels the watch;
   * resolves with its reason then, and throws when the connection breaks. One transaction is never split over responses.
   */
  watch(
    prefix: string,
    from: bigint,
    onResponse: (response: WatchResponse) => void,
    signal: AbortSignal,
  ): Promise<string>
  /**
   * One transaction; all or nothing. Resolves with its revision. Throws ConditionFailed when one of its conditions does
   * not hold, and LeaseGone when its lease has ended; nothing is written then.
   */
  commit(write: StoreWrite): Promise<bigint>
  /** Resolves with the id of a lease that ends `seconds` after it was last kept. */
  grantLease(seconds: number): Promise<string>
  /** Throws LeaseGone when the lease has ended already. */
  keepLease(id: string): Promise<void>
  close(): void
}

export interface StoreHeader {
  readonly clusterId: string
  /** The store's revision, which is not the revision of what the response carries. */
  readonly revision: bigint
  readonly term: bigint
}

export interface StoreEntry {
  readonly key: string
  readonly value: string
  readonly modRevision: bigint
  readonly createRevision: bigint
  /** Writes since the key was made, from 1. */
  readonly version: bigint
}

export interface StorePage {
  readonly header: StoreHeader
  /** The revision of the whole listing. */
  readonly revision: bigint
  readonly entries: readonly StoreEntry[]
}

export interface WatchResponse {
  readonly header: StoreHeader
  /** The watch stands; comes once, before everything else. Its header says nothing about what was seen. */
  readonly created: boolean
  readonly events: readonly (StoreEntry & { readonly gone: boolean })[]
}

export interface StoreWrite {
  /** What must hold for it to be done: keys as they were read, by the revision of their last change; 0 is no such key. */
  readonly conditions?: readonly { readonly key: string; readonly modRevision: bigint }[]
  readonly puts?: readonly { readonly key: string; readonly value: string; readonly lease?: string }[]
  readonly deletes?: readonly string[]
  readonly deletePrefixes?: readonly string[]
}

/** The revision asked for is compacted away, or was never reached by this store. */
export class HistoryGone extends Error {}

/** Somebody else changed, made or removed a key meanwhile. */
export class ConditionFailed extends Error {}

/** The lease ended before it was kept or used. */
export class LeaseGone extends Error {}
