import { PodfenceError } from '../../../../src/errors.ts'
import {
  ConditionFailed,
  type Store,
  type StoreEntry,
  type StoreHeader,
  type StorePage,
  type StoreWrite,
  type WatchResponse,
} from '../../../../src/source/store.ts'

interface Change {
  readonly revision: bigint
  readonly entry: StoreEntry
  readonly gone: boolean
}

/** How a request fails: before it is done, or after it, with its answer lost. */
export type Failure = 'refused' | 'lost' | null

interface Watcher {
  readonly prefix: string
  readonly take: (response: WatchResponse) => void
  next: bigint
}

/** A store in memory with etcd's conditions, revisions, history and watches. */
export class FakeStore implements Store {
  readonly name = 'fake'
  /** Asked before each commit. */
  fail: (write: StoreWrite) => Failure = () => null
  /** Comes before each commit, which waits for it. */
  before: (write: StoreWrite) => void | Promise<void> = () => {}
  /** Every commit that was done, in order. */
  readonly writes: StoreWrite[] = []
  private history: Change[] = []
  private revision = 1n
  private readonly watchers = new Set<Watcher>()

  async *pages(prefix: string, _size: number, _signal: AbortSignal): AsyncIterable<StorePage> {
    await turn()
    yield { header: this.header, revision: this.revision, entries: this.at(this.revision, prefix) }
  }

  async get(
    key: string,
    revision = this.revision,
  ): Promise<{ header: StoreHeader; entry: StoreEntry | null }> {
    await turn()
    const entry = this.at(revision, key).find(each => each.key === key) ?? null
    return { header: this.header, entry }
  }

  async count(prefix: string, revision: bigint): Promise<number> {
    await turn()
    return this.at(revision, prefix).length
  }

  async watch(
    prefix: string,
    from: bigint,
    onResponse: (response: WatchResponse) => void,
    signal: AbortSignal,
  ): Promise<string> {
    await turn()
    onResponse({ header: this.header, created: true, events: [] })
    const watcher: Watcher = { prefix, take: onResponse, next: from }
    this.watchers.add(watcher)
    this.deliver()
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
    this.watchers.delete(watcher)
    return 'aborted'
  }

  async commit(write: StoreWrite): Promise<bigint> {
    await turn()
    await this.before(write)
    const failure = this.fail(write)
    if (failure === 'refused') throw new PodfenceError('STORE_UNREACHABLE', 'refused')
    const revision = this.done(write)
    if (failure === 'lost') throw new PodfenceError('STORE_UNREACHABLE', 'the answer was lost')
    return revision
  }

  /** Another hand's write; null removes. */
  put(key: string, value: string | null): void {
    this.done(value === null ? { deletes: [key] } : { puts: [{ key, value }] })
  }

  /** All keys and values now. */
  tree(prefix = ''): Map<string, string> {
    return new Map(this.at(this.revision, prefix).map(({ key, value }) => [key, value]))
  }

  grantLease(): Promise<string> {
    throw new Error('unused')
  }

  keepLease(): Promise<void> {
    throw new Error('unused')
  }

  close(): void {}

  private get header(): StoreHeader {
    return { clusterId: 'fake', revision: this.revision, term: 1n }
  }

  private at(revision: bigint, prefix: string): StoreEntry[] {
    const keys = new Map<string, StoreEntry>()
    for (const { revision: when, entry, gone } of this.history)
      if (when <= revision && entry.key.startsWith(prefix))
        if (gone) keys.delete(entry.key)
        else keys.set(entry.key, entry)
    return [...keys.values()]
  }

  private done(write: StoreWrite): bigint {
    const now = new Map(this.at(this.revision, '').map(entry => [entry.key, entry]))
    for (const { key, modRevision } of write.conditions ?? [])
      if ((now.get(key)?.modRevision ?? 0n) !== modRevision) throw new ConditionFailed(key)
    this.writes.push(write)
    this.revision += 1n
    const { revision } = this
    for (const key of write.deletes ?? []) {
      const entry = now.get(key)
      if (entry) this.history.push({ revision, entry: { ...entry, modRevision: revision }, gone: true })
    }
    for (const { key, value } of write.puts ?? []) {
      const { createRevision = revision, version = 0n } = now.get(key) ?? {}
      const entry = { key, value, modRevision: revision, createRevision, version: version + 1n }
      this.history.push({ revision, entry, gone: false })
    }
    setImmediate(() => this.deliver())
    return revision
  }

  private deliver(): void {
    for (const watcher of this.watchers) {
      const events = this.history
        .filter(({ revision, entry }) => revision >= watcher.next && entry.key.startsWith(watcher.prefix))
        .map(({ entry, gone }) => ({ ...entry, gone }))
      watcher.next = this.revision + 1n
      if (events.length > 0) watcher.take({ header: this.header, created: false, events })
    }
  }
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
