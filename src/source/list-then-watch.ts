import type { KeyChange, SourceEvent } from './event.ts'
import type { Pace } from './pace.ts'
import { HistoryGone } from './store.ts'
import { unlessAborted } from './unless-aborted.ts'

/** One store as the loop sees it. `Position` is whatever the store needs to go on where it stopped. */
export interface Feed<Position> {
  readonly name: string
  list(signal: AbortSignal): Promise<Listing<Position>>
  /**
   * Tells of every change after `from`. Resolves with the reason when only a new listing can help (or the signal
   * aborted), rejects when the connection broke and the last position told still holds.
   */
  watch(from: Position, observer: WatchObserver<Position>, signal: AbortSignal): Promise<string>
}

export interface Listing<Position> {
  readonly entries: ReadonlyMap<string, string>
  readonly revision: string
  readonly position: Position
}

export interface WatchObserver<Position> {
  /** The watch stands and has proven to continue the position it began with. */
  established(): void
  /** `changes` may be empty: then only the position moved. */
  moved(position: Position, revision: string, changes: readonly KeyChange[]): void
}

/**
 * Lists, then watches from there, and lists again whenever in doubt; never gives up until `signal` aborts.
 * A broken connection is no doubt: the watch goes on at its last position. Rejects only when `emit` throws.
 */
export class ListThenWatch<Position> {
  private readonly feed: Feed<Position>
  private readonly pace: Pace
  private round = new AbortController()
  private position: Position | null = null
  private failures = 0
  /** Listings asked for in a row, each soon after the one before; and when the last of them began. */
  private relists = 0
  private relisted: number | null = null
  private connected: boolean | null = null
  private lastReason = ''

  constructor(feed: Feed<Position>, pace: Pace) {
    this.feed = feed
    this.pace = pace
  }

  /** Ends the present watch (or wait) and lists again: at once, or ever later when asked so again and again. */
  relist(reason: string): void {
    this.round.abort(reason)
  }

  async run(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void> {
    let fault: { readonly error: unknown } | null = null
    const guarded = (event: SourceEvent) => {
      if (fault || signal.aborted) return
      try {
        emit(event)
      } catch (error) {
        fault = { error }
        throw error
      }
    }
    while (!signal.aborted) {
      this.round = new AbortController()
      await this.once(guarded, AbortSignal.any([signal, this.round.signal]))
      if (fault) throw (fault as { error: unknown }).error
      if (signal.aborted) return
      if (this.failures > 0 && !this.round.signal.aborted)
        await this.pace.wait(this.failures, AbortSignal.any([signal, this.round.signal]))
      if (this.round.signal.aborted) await this.again(signal)
    }
  }

  /** A whole list is a burden on the store and on everybody who listens: whoever asks in a storm waits. */
  private async again(signal: AbortSignal): Promise<void> {
    this.position = null
    const soon = this.relisted !== null && !this.pace.isLong(this.relisted)
    this.relists = soon ? this.relists + 1 : 0
    if (this.relists > 0) await this.pace.wait(this.relists, signal)
    this.relisted = this.pace.now()
  }

  /** One listing if need be, and one watch. Leaves `failures` above zero when the next round must wait. */
  private async once(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void> {
    const began = this.pace.now()
    const failed = (least: number) => {
      this.failures = this.pace.isLong(began) ? least : this.failures + 1
    }
    try {
      this.position ??= await this.list(emit, signal)
      if (signal.aborted) return
      const reason = await unlessAborted(this.feed.watch(this.position, this.observer(emit), signal), signal)
      if (signal.aborted) return
      failed(0)
      this.doubt(emit, reason)
    } catch (error) {
      if (signal.aborted) return
      failed(1)
      const reason = error instanceof Error ? error.message : String(error)
      if (error instanceof HistoryGone) this.doubt(emit, reason)
      else this.lost(emit, reason)
    }
  }

  /** A function of its own, so that nothing holds on to the snapshot while the watch goes on. */
  private async list(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<Position> {
    const { entries, revision, position } = await unlessAborted(this.feed.list(signal), signal)
    this.regained(emit)
    emit({ kind: 'snapshot', revision, entries })
    return position
  }

  private observer(emit: (event: SourceEvent) => void): WatchObserver<Position> {
    return {
      established: () => this.regained(emit),
      moved: (position, revision, changes) => {
        this.failures = 0
        if (changes.length > 0) emit({ kind: 'changes', revision, changes })
        this.position = position
      },
    }
  }

  private regained(emit: (event: SourceEvent) => void): void {
    if (this.connected === true) return
    this.connected = true
    emit({ kind: 'connection', connected: true, reason: this.feed.name })
  }

  private doubt(emit: (event: SourceEvent) => void, reason: string): void {
    this.position = null
    emit({ kind: 'connection', connected: this.connected === true, reason: `listing again: ${reason}` })
  }

  private lost(emit: (event: SourceEvent) => void, reason: string): void {
    if (this.connected === false && reason === this.lastReason) return
    this.connected = false
    this.lastReason = reason
    emit({ kind: 'connection', connected: false, reason })
  }
}
