import type { KernelDriver } from '../kernel/driver.ts'
import type { Repaired } from '../kernel/report.ts'
import type { SourceEvent } from '../source/event.ts'
import { type AgentNotes, endpointGround } from './agent-status.ts'
import type { Clock } from './clock.ts'
import { countStates } from './endpoint-states.ts'
import type { Enforcement } from './enforcement.ts'
import type { Health } from './health.ts'
import type { LiveSettings } from './live-settings.ts'
import type { Logger } from './log.ts'
import { MemoryRelease } from './memory-release.ts'
import type { Metrics } from './metrics.ts'
import type { OtherBackend } from './other-backend.ts'
import { Pace } from './pace.ts'
import type { HostTraits } from './render-options.ts'
import { RuleSettings } from './rule-settings.ts'
import type { ChosenSource } from './source-choice.ts'
import { SyncState } from './sync-state.ts'
import type { Watchdog } from './watchdog.ts'

export interface AgentLifeOptions {
  readonly live: LiveSettings
  readonly source: ChosenSource
  readonly traits: HostTraits
  readonly enforcement: Enforcement
  readonly driver: KernelDriver
  readonly otherBackend: Pick<OtherBackend, 'look' | 'clear'>
  readonly log: Logger
  readonly metrics: Metrics
  readonly clock: Clock
  readonly health: Health
  readonly watchdog: Watchdog
  readonly notes: AgentNotes
  /** Something that the status tells has changed; `enforced`: by an apply that succeeded. */
  readonly changed: (enforced: boolean) => void
}

/** Pauses between tries of an apply that failed, and the least time between two full reads asked for by a gap. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000
/**
 * A few changes go at once each; in a storm it is one step every 25 ms. That is also about what nft's grace
 * period would make a second transaction wait for.
 */
const STEP_CREDIT = { steps: 4, every: 25 }

/** What happens to the agent over time: events in, steps when the pace says so, refreshes, and what is noted of each. */
export class AgentLife {
  readonly #options: AgentLifeOptions
  readonly #pace: Pace
  readonly #sync: SyncState
  readonly #rules: RuleSettings
  readonly #release: MemoryRelease
  #cancelRefresh: () => void = () => {}
  #begun = false
  #firstEnforced = false

  constructor(options: AgentLifeOptions) {
    this.#options = options
    this.#rules = new RuleSettings(options)
    this.#pace = new Pace({
      step: () => this.#step(),
      clock: options.clock,
      firstPause: FIRST_PAUSE_MS,
      longestPause: LONGEST_PAUSE_MS,
      credit: STEP_CREDIT,
      failed: (error, pause) => this.#failed(error, pause),
    })
    this.#release = new MemoryRelease(options.clock, () => this.#pace.busy)
    this.#sync = new SyncState(options)
    this.#scheduleRefresh()
  }

  /** The kernel has been read and the gate stands: from now on it is written to. */
  begin(): void {
    this.#begun = true
    this.#poke()
  }

  /** Takes an event of the source in, as it comes. */
  take(event: SourceEvent): void {
    const { enforcement, log } = this.#options
    const passed = this.#sync.pass(event)
    const configChanges = enforcement.intake.configChanges
    if (passed === null || !enforcement.take(passed)) return
    if (enforcement.intake.configChanges !== configChanges) this.#rules.takeSettings()
    if (passed.kind === 'snapshot') this.#release.soon()
    log.debug({ component: 'source', kind: event.kind, revision: enforcement.revisions.seen }, 'event taken')
    this.#poke()
  }

  /** A SIGHUP or the store may have changed what the text looks like. */
  settingsChanged(): void {
    this.#rules.takeSettings()
    this.#poke()
  }

  /** What of the host shapes the text, as it is now: br_netfilter may come after us, and may be switched off. */
  get traits(): HostTraits {
    return this.#rules.traits
  }

  set traits(traits: HostTraits) {
    if (this.#rules.takeTraits(traits)) this.#poke()
  }

  /** Waits for a repair of what others have changed and tells of it; false when it could not be made. Never rejects. */
  async repaired(work: Promise<Repaired>): Promise<boolean> {
    const { log, changed, enforcement, notes } = this.#options
    try {
      const repaired = await work
      enforcement.revisions.settle(repaired)
      const { repairedChains, repairedHooks, repairedSets } = repaired
      const count = repairedChains.length + repairedHooks.length + repairedSets.length
      // What was refused may have been taken now.
      if (notes.lastApply !== null && this.#count()) changed(false)
      if (count === 0) return true
      const names = [...repairedHooks, ...repairedChains].map(
        ({ family, table, chain }) => `${family} ${table} ${chain}`,
      )
      log.warn(
        { component: 'kernel', repaired: [...names, ...repairedSets].slice(0, 20) },
        `${count} foreign changes repaired`,
      )
      enforcement.doubtConnections()
      changed(false)
      return true
    } catch (error) {
      this.#failed(error, 0)
      this.#poke()
      return false
    }
  }

  /** No step begins any more; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#cancelRefresh()
    this.#release.cancel()
    await this.#pace.stop()
  }

  #poke(): void {
    if (this.#begun) this.#pace.poke()
  }

  async #step(): Promise<void> {
    const { enforcement, otherBackend, watchdog, health, notes, metrics, log, changed } = this.#options
    watchdog.progress('apply')
    try {
      await enforcement.step()
    } finally {
      watchdog.ended('apply')
    }
    notes.applyFailure = null
    health.report('apply', null)
    if (enforcement.inSync) {
      notes.lastApply = new Date()
      this.#count()
    }
    if (!this.#firstEnforced && enforcement.inSync) {
      this.#firstEnforced = true
      const ms = Math.round(performance.now())
      log.info(
        { component: 'agent', revision: enforcement.revisions.applied, ms },
        'enforced for the first time',
      )
      metrics.int_dataplane_initial_resync_time_seconds.set(performance.now() / 1000)
      void otherBackend.clear().then(() => changed(false))
    }
    changed(true)
  }

  /** Notes how many endpoints are in each state; true when that has changed. */
  #count(): boolean {
    const { enforcement, driver, notes } = this.#options
    const before = notes.endpoints
    const now = countStates(enforcement.endpoints(), endpointGround(enforcement, driver, null))
    notes.endpoints = now
    return now.enforced !== before.enforced || now.closed !== before.closed || now.failed !== before.failed
  }

  #failed(err: unknown, pause: number): void {
    const { notes, health, log, changed } = this.#options
    notes.applyFailure = (err as Error).message
    health.report('apply', notes.applyFailure)
    log.error(
      { err, component: 'kernel', pause },
      'the kernel could not be brought to the present state; the rules of before stand',
    )
    changed(false)
  }

  #scheduleRefresh(): void {
    const { clock, live, enforcement, otherBackend, notes } = this.#options
    const interval = live.now.refreshInterval
    // An interval of 0 may be changed by SIGHUP, so it is looked at again.
    this.#cancelRefresh = clock.after(interval > 0 ? interval : 60_000, async () => {
      if (this.#begun && live.now.refreshInterval > 0) {
        await this.repaired(enforcement.refresh())
        if (!enforcement.inSync) await enforcement.gate().catch(error => this.#failed(error, 0))
        await otherBackend.look()
        if (this.#firstEnforced) await otherBackend.clear()
        notes.lastRefresh = new Date()
      }
      this.#scheduleRefresh()
    })
  }
}
