import { type Backend, backendMismatch, otherBackend, readHints } from '../kernel/backend.ts'
import { findRemovals, removeRules } from '../kernel/cleanup.ts'
import type { KernelDriver } from '../kernel/driver.ts'
import type { Processes } from '../kernel/process.ts'
import { familiesStanding } from '../kernel/standing.ts'
import type { Family } from '../model/values.ts'
import { HOOKS } from '../render/hooks.ts'
import type { AgentNotes } from './agent-status.ts'
import type { Logger } from './log.ts'

export interface OtherBackendOptions {
  readonly processes: Processes
  /** The one that is written to. */
  readonly backend: Backend
  readonly driver: Pick<KernelDriver, 'stands'>
  readonly log: Logger
  readonly notes: Pick<AgentNotes, 'mismatch' | 'warnings'>
}

/**
 * The iptables backend that is not written to. The kernel asks both, so what an earlier run left there goes on
 * dropping whatever that run did not know. It is removed once the rules of the present run stand, never
 * before: till then it may be all that is closed. Best effort: nothing here fails the agent.
 */
export class OtherBackend {
  readonly #options: OtherBackendOptions
  readonly #backend: Backend
  #clean = false

  constructor(options: OtherBackendOptions) {
    this.#options = options
    this.#backend = otherBackend(options.backend)
  }

  /** Notes whether Kubernetes uses that one, and whether rules of ours are there; removes nothing. */
  async look(): Promise<void> {
    await this.#attempt(async () => {
      await this.#readHints()
      if (!this.#clean) await this.#find()
    })
  }

  /** The families in which what is ours there closes the workloads by itself. */
  standing(): Promise<readonly Family[]> {
    return familiesStanding(this.#options.processes, this.#backend, HOOKS)
  }

  /** Removes what is ours there when the present run's rules stand. Does nothing more once that has succeeded. */
  async clear(): Promise<void> {
    if (!this.#clean) await this.#attempt(() => this.#remove())
  }

  async #remove(): Promise<void> {
    const { processes, driver, log, notes } = this.#options
    const about = { component: 'kernel', backend: this.#backend }
    const found = await this.#find()
    if (found.length > 0 && !driver.stands()) {
      log.warn(about, 'rules of an earlier run stay in the other backend until those of this run stand')
      return
    }
    const failures = await removeRules(processes, found)
    if (failures.length > 0) {
      log.warn({ ...about, failures }, 'rules of an earlier run cannot be removed from the other backend')
      return
    }
    this.#clean = true
    notes.warnings.delete('other backend')
    if (found.length > 0)
      log.info({ ...about, tables: found.length }, 'rules of an earlier run removed from the other backend')
  }

  async #find() {
    const { processes, notes } = this.#options
    const found = await findRemovals(processes, this.#backend)
    if (found.length > 0) notes.warnings.set('other backend', formerRules(this.#backend))
    else notes.warnings.delete('other backend')
    return found
  }

  async #readHints(): Promise<void> {
    const { processes, backend, notes, log } = this.#options
    const mismatch = backendMismatch(backend, await readHints(processes))
    if (mismatch !== null && mismatch !== notes.mismatch) log.warn({ component: 'kernel' }, mismatch)
    notes.mismatch = mismatch
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (err) {
      this.#options.log.warn(
        { err, component: 'kernel', backend: this.#backend },
        'the other backend cannot be looked at',
      )
    }
  }
}

/** One sentence about rules of ours in a backend that is not written to. */
export function formerRules(backend: Backend): string {
  return `iptables-${backend} holds rules of podfence from an earlier run; they drop whatever that run did not know`
}
