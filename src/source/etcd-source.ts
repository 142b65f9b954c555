import type { KeyChange, Source, SourceEvent } from './event.ts'
import { type Feed, type Listing, ListThenWatch, type WatchObserver } from './list-then-watch.ts'
import { backOff, type Pace } from './pace.ts'
import { HistoryGone, type Store, type StoreEntry, type StoreHeader, type WatchResponse } from './store.ts'
import { ROOT } from './v1-tree.ts'

/** Some hundred kilobytes a page: few round trips, and no page that hurts. */
const PAGE_SIZE = 2_000

export interface EtcdSourceOptions {
  readonly prefix?: string
  readonly pageSize?: number
  readonly pace?: Pace
  /** Is kept at the revision of each key's last change, ahead of the event that tells of it, for those who write with conditions. */
  readonly revisions?: Map<string, bigint>
}

/** Watches Calico's v1 tree in etcd. The store stays the caller's to close. */
export class EtcdSource implements Source {
  readonly name: string
  private readonly loop: ListThenWatch<EtcdPosition>

  constructor(store: Store, options: EtcdSourceOptions = {}) {
    const { prefix = ROOT, pageSize = PAGE_SIZE, pace = backOff, revisions = null } = options
    this.name = `etcd ${store.name}`
    this.loop = new ListThenWatch(new EtcdFeed(this.name, store, { prefix, pageSize, revisions }), pace)
  }

  run(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void> {
    return this.loop.run(emit, signal)
  }

  relist(reason: string): void {
    this.loop.relist(reason)
  }
}

/**
 * Where we are, and by what we know the history again. A wiped or restored etcd may keep its cluster id and soon have a
 * higher revision than before, so the number of keys at the revision seen and one key's marks are compared as well.
 */
interface EtcdPosition {
  readonly clusterId: string
  readonly term: bigint
  /** Everything up to this revision was seen. */
  readonly seen: bigint
  /** Keys under the prefix at that revision. */
  readonly count: number
  /** The last key written that still stands. */
  readonly witness: StoreEntry | null
}

class EtcdFeed implements Feed<EtcdPosition> {
  readonly name: string
  private readonly store: Store
  private readonly prefix: string
  private readonly pageSize: number
  private readonly revisions: Map<string, bigint> | null

  constructor(
    name: string,
    store: Store,
    options: { prefix: string; pageSize: number; revisions: Map<string, bigint> | null },
  ) {
    this.name = name
    this.store = store
    this.prefix = options.prefix
    this.pageSize = options.pageSize
    this.revisions = options.revisions
  }

  async list(signal: AbortSignal): Promise<Listing<EtcdPosition>> {
    const entries = new Map<string, string>()
    const revisions = new Map<string, bigint>()
    let last: { header: StoreHeader; revision: bigint } | null = null
    let witness: StoreEntry | null = null
    for await (const page of this.store.pages(this.prefix, this.pageSize, signal)) {
      if (last && last.header.clusterId !== page.header.clusterId)
        throw new HistoryGone('another cluster answered in the middle of a listing')
      last = page
      for (const entry of page.entries) {
        entries.set(entry.key, entry.value)
        if (this.revisions) revisions.set(entry.key, entry.modRevision)
        if (witness === null || entry.modRevision > witness.modRevision) witness = entry
      }
    }
    if (last === null) throw new HistoryGone('the listing had no page')
    this.revisions?.clear()
    for (const [key, revision] of revisions) this.revisions?.set(key, revision)
    const { clusterId, term } = last.header
    const position = { clusterId, term, seen: last.revision, count: entries.size, witness }
    return { entries, revision: String(last.revision), position }
  }

  async watch(
    from: EtcdPosition,
    observer: WatchObserver<EtcdPosition>,
    signal: AbortSignal,
  ): Promise<string> {
    /** Ends the watch: with a text when in doubt, with an error when the connection broke. */
    const end = new AbortController()
    const ended = AbortSignal.any([signal, end.signal])
    let position = from
    /** What arrives before the history is known to be the same one; null once it is. */
    let held: WatchResponse[] | null = []
    const take = (response: WatchResponse) => {
      const next = advance(position, response)
      if (typeof next === 'string') return end.abort(next)
      position = next
      this.note(response)
      observer.moved(position, String(position.seen), changesOf(response))
    }
    const recognise = async () => {
      const strange = await this.differs(from)
      if (ended.aborted) return
      if (strange !== null) return end.abort(strange)
      observer.established()
      const waiting = held ?? []
      held = null
      for (const response of waiting) if (!ended.aborted) take(response)
    }
    const onResponse = (response: WatchResponse) => {
      if (ended.aborted) return
      if (response.created) recognise().catch(error => end.abort(error))
      else if (held) held.push(response)
      else take(response)
    }
    let reason: string
    try {
      reason = await this.store.watch(this.prefix, from.seen + 1n, onResponse, ended)
    } finally {
      // An answer that comes later must not count any more.
      if (!ended.aborted) end.abort('over')
    }
    if (end.signal.reason instanceof Error) throw end.signal.reason
    return end.signal.aborted && end.signal.reason !== 'over' ? String(end.signal.reason) : reason
  }

  private note({ events }: WatchResponse): void {
    for (const { key, gone, modRevision } of events)
      if (gone) this.revisions?.delete(key)
      else this.revisions?.set(key, modRevision)
  }

  /** Why the store's history is not the one that `position` belongs to, or null. */
  private async differs(position: EtcdPosition): Promise<string | null> {
    const { seen, witness } = position
    try {
      const [{ header, entry }, count] = await Promise.all([
        this.store.get(witness?.key ?? this.prefix, seen),
        this.store.count(this.prefix, seen),
      ])
      const strange = otherHistory(position, header)
      if (strange !== null) return strange
      if (count !== position.count)
        return `${count} keys at revision ${seen} where ${position.count} were seen`
      if (witness && !sameEntry(witness, entry)) return `${witness.key} has another history than was seen`
      return null
    } catch (error) {
      if (error instanceof HistoryGone) return error.message
      throw error
    }
  }
}

/** The position after a response, or why it cannot be trusted. */
function advance(position: EtcdPosition, { header, events }: WatchResponse): EtcdPosition | string {
  const strange = otherHistory(position, header)
  if (strange !== null) return strange
  if (header.revision < position.seen)
    return `the store is at revision ${header.revision}, before ${position.seen}`
  let { seen, count, witness } = position
  // Only a response without events tells of the whole store; one with events may be a part of a long catch-up.
  if (events.length === 0) seen = header.revision
  for (const event of events) {
    // Equal would be the second half of a transaction, whose first half was passed on as a whole.
    if (event.modRevision <= position.seen) return `revision ${event.modRevision} came again`
    seen = event.modRevision
    if (!event.gone) {
      if (event.version === 1n) count += 1
      witness = event
    } else {
      count -= 1
      if (witness?.key === event.key) witness = null
    }
  }
  return { clusterId: header.clusterId, term: header.term, seen, count, witness }
}

function otherHistory(position: EtcdPosition, header: StoreHeader): string | null {
  if (header.clusterId !== position.clusterId) return 'another cluster answers'
  if (header.term < position.term) return `the raft term went back from ${position.term} to ${header.term}`
  return null
}

function sameEntry(a: StoreEntry, b: StoreEntry | null): boolean {
  return (
    b !== null &&
    a.modRevision === b.modRevision &&
    a.createRevision === b.createRevision &&
    a.version === b.version &&
    a.value === b.value
  )
}

function changesOf({ events }: WatchResponse): KeyChange[] {
  return events.map(({ key, value, gone }) => ({ key, value: gone ? null : value }))
}
