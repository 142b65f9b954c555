import type { SourceEvent } from '../source/event.ts'
import { passWhenReady, type ReadyState, UNREADY } from '../source/ready-gate.ts'
import type { AgentNotes } from './agent-status.ts'
import type { Health } from './health.ts'
import type { LiveSettings } from './live-settings.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { ChosenSource } from './source-choice.ts'

export interface SyncStateOptions {
  readonly live: LiveSettings
  readonly source: ChosenSource
  readonly log: Logger
  readonly metrics: Metrics
  readonly health: Health
  readonly notes: Pick<AgentNotes, 'connected' | 'connectionReason' | 'waitingFor'>
  readonly changed: (enforced: boolean) => void
}

/** Whether the agent hears its source and is in sync with it, and all who are to know of that. */
export class SyncState {
  readonly #options: SyncStateOptions
  #ready: ReadyState = UNREADY

  constructor(options: SyncStateOptions) {
    this.#options = options
    this.#waiting('no complete list yet')
  }

  /** What of an event goes on to the model; null: nothing. */
  pass(event: SourceEvent): SourceEvent | null {
    if (event.kind === 'connection') this.#connection(event.connected, event.reason)
    if (this.#options.source.gated) return this.#throughGate(event)
    if (event.kind === 'snapshot') this.#waiting(null)
    return event
  }

  #throughGate(event: SourceEvent): SourceEvent | null {
    const { state, event: passed, relist } = passWhenReady(this.#ready, event)
    if (state.reason !== this.#ready.reason || state.open !== this.#ready.open)
      this.#waiting(state.open ? null : state.reason)
    this.#ready = state
    if (relist !== null) this.#options.source.watch.relist(relist)
    return passed
  }

  #connection(connected: boolean, reason: string): void {
    const { notes, health, metrics, live, log, changed } = this.#options
    if (notes.connected !== connected)
      log[connected ? 'info' : 'warn'](
        { component: 'source', reason },
        connected ? 'connected' : 'connection lost',
      )
    notes.connected = connected
    notes.connectionReason = reason
    metrics.source_connected.set(connected ? 1 : 0)
    health.report('source', connected ? null : reason, live.now.sourceGrace)
    changed(false)
  }

  /** `reason` null: in sync. */
  #waiting(reason: string | null): void {
    const { notes, health, metrics, log, changed } = this.#options
    if (notes.waitingFor === reason) return
    notes.waitingFor = reason
    health.report('sync', reason)
    metrics.resync_state.set(reason === null ? 3 : notes.connected ? 2 : 1)
    log.info({ component: 'source' }, reason === null ? 'in sync' : `waiting: ${reason}`)
    changed(false)
  }
}
