import type { CutReport } from '../kernel/cut.ts'
import type { AgentNotes } from './agent-status.ts'
import type { Logger } from './log.ts'

export interface AgentNewsOptions {
  readonly log: Logger
  readonly notes: Pick<AgentNotes, 'warnings' | 'lastCutScan'>
  /** Something that the status tells has changed. */
  readonly changed: () => void
}

/** What the agent's helpers find: noted for the status, and logged. */
export class AgentNews {
  readonly #options: AgentNewsOptions

  constructor(options: AgentNewsOptions) {
    this.#options = options
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
    changed()
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
    changed()
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
}
