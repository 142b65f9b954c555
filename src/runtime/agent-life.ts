import type { CutReport } from '../kernel/cut.ts'
import type { KernelDriver } from '../kernel/driver.ts'
import type { Repaired } from '../kernel/report.ts'
import type { SourceEvent } from '../source/event.ts'
import type { AgentNotes } from './agent-status.ts'
import type { Clock } from './clock.ts'
import type { Enforcement } from './enforcement.ts'
import type { Health } from './health.ts'
import type { LiveSettings } from './live-settings.ts'
import type { Logger } from './log.ts'
import { releaseMemory } from './memory.ts'
import type { Metrics } from './metrics.ts'
import type { OtherBackend } from './other-backend.ts'
import { Pace } from './pace.ts'
import { type HostTraits, renderOptions } from './render-options.ts'
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
/**
 * So long after a whole list was taken in its memory is given back. Sooner V8 would keep the room for new objects, since
 * it looks at how much was allocated in the last five seconds.
 */
const RELEASE_AFTER_MS = 8000
/** The first may come when V8 still thinks of the start; the second then gives back 30 MB more. */
const RELEASES = 2

/** What happens to the agent over time: events in, steps when the pace says so, refreshes, and what is noted of each. */
export class AgentLife {
  readonly #options: AgentLifeOptions
  readonly #pace: Pace
  readonly #sync: SyncState
  #traits: HostTraits
  #rendered: string
  #cancelRefresh: () => void = () => {}
  #cancelRelease: () => void = () => {}
  #begun = false
  #firstEnforced = false

  constructor(options: AgentLifeOptions) {
    this.#options = options
    this.#traits = options.traits
    this.#rendered = this.#renderKey()
    this.#pace = new Pace({
      step: () => this.#step(),
      clock: options.clock,
      firstPause: FIRST_PAUSE_MS,
      longestPause: LONGEST_PAUSE_MS,
      credit: STEP_CREDIT,
      failed: (error, pause) => this.#failed(error, pause),
    })
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
    if (enforcement.intake.configChanges !== configChanges) this.#settingsChanged()
    if (passed.kind === 'snapshot') this.#releaseSoon()
    log.debug({ component: 'source', kind: event.kind, revision: enforcement.revisions.seen }, 'event taken')
    this.#poke()
  }

  /** A SIGHUP or the store may have changed what the text looks like. */
  settingsChanged(): void {
    this.#settingsChanged()
    this.#poke()
  }

  /** What of the host shapes the text, as it is now: br_netfilter may come after us, and may be switched off. */
  get traits(): HostTraits {
    return this.#traits
  }

  set traits(traits: HostTraits) {
    if (traits.bridgeFilter === this.#traits.bridgeFilter) return
    const { log, live } = this.#options
    this.#traits = { ...this.#traits, bridgeFilter: traits.bridgeFilter }
    if (live.now.bridges.length > 0)
      log[traits.bridgeFilter ? 'info' : 'error'](
        { component: 'kernel', bridges: live.now.bridges },
        traits.bridgeFilter ? 'br_netfilter is there now' : 'br_netfilter is gone: bridges are not filtered',
      )
    this.settingsChanged()
  }

  /** Waits for a repair of what others have changed and tells of it; false when it could not be made. Never rejects. */
  async repaired(work: Promise<Repaired>): Promise<boolean> {
    const { log, changed, enforcement } = this.#options
    try {
      const repaired = await work
      enforcement.revisions.settle(repaired)
      const { repairedChains, repairedHooks, repairedSets } = repaired
      const count = repairedChains.length + repairedHooks.length + repairedSets.length
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

  /** The drift monitor hears nothing, and why; null: it does again. */
  monitorDeaf(why: string | null): void {
    const { notes, log, changed } = this.#options
    notes.warnings.delete('drift monitor')
    if (why === null) log.info({ component: 'kernel' }, 'nft monitor listens again')
    else {
      const text = `nft monitor cannot listen (${why}): foreign changes are found by the refresh timer only`
      notes.warnings.set('drift monitor', text)
      log.warn({ component: 'kernel' }, text)
    }
    changed(false)
  }

  scanned(report: CutReport): void {
    const { notes, log, changed } = this.#options
    const ms = Math.round(report.milliseconds)
    notes.lastCutScan = { at: new Date().toISOString(), ms, cut: report.connections }
    notes.warnings.delete('cut')
    this.unclosed(report.unclosed)
    if (report.connections > 0 || report.tuples.length > 0)
      log.info(
        { component: 'cut', connections: report.connections, tuples: report.tuples.length, ms },
        'connections cut',
      )
    changed(false)
  }

  /** Some tuples could not be put into the cut sets. */
  unclosed(failures: CutReport['unclosed']): void {
    const { notes, log } = this.#options
    const [failure] = failures
    if (failure === undefined) return
    const text = `${failures.length} forbidden connections may come back: ${failure.said}`
    notes.warnings.set('cut', text)
    log.error({ component: 'cut', line: failure.line }, text)
  }

  scanFailed(err: unknown): void {
    const { notes, log } = this.#options
    notes.warnings.set('cut', `open connections cannot be judged: ${(err as Error).message}`)
    log.error({ err, component: 'cut' }, 'open connections cannot be judged')
  }

  /** No step begins any more; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#cancelRefresh()
    this.#cancelRelease()
    await this.#pace.stop()
  }

  #poke(): void {
    if (this.#begun) this.#pace.poke()
  }

  /** Never while a step is under way, which it would hold up. */
  #releaseSoon(times = RELEASES): void {
    this.#cancelRelease()
    this.#cancelRelease = this.#options.clock.after(RELEASE_AFTER_MS, () => {
      if (this.#pace.busy) return this.#releaseSoon(times)
      releaseMemory()
      if (times > 1) this.#releaseSoon(times - 1)
    })
  }

  #settingsChanged(): void {
    const { live, enforcement, driver, notes, log } = this.#options
    live.takeStore(enforcement.intake.config)
    notes.ignoredConfig = live.ignored
    notes.needRestart = live.needRestart
    const rendered = this.#renderKey()
    if (rendered === this.#rendered) return
    this.#rendered = rendered
    log.info(
      { component: 'settings' },
      'the settings of the rules changed: all of them are written anew where they differ',
    )
    driver.limitSets(live.now.maxSetSize)
    enforcement.setRenderOptions(renderOptions(live.now, this.#traits))
  }

  /** Equal exactly while the rendered text and the sets' limit would be. */
  #renderKey(): string {
    const { live } = this.#options
    const { protocolNames: _, ...options } = renderOptions(live.now, this.#traits)
    return JSON.stringify([options, live.now.maxSetSize])
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
      notes.enforcedEndpoints = enforcement.engine.endpoints().length
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
