import { type ConnectionCutter, type CutReport, familiesOf, type Judge } from '../kernel/cut.ts'
import { FAMILIES } from '../model/values.ts'
import type { Clock } from './clock.ts'
import { Pace } from './pace.ts'

export interface ConnectionScanOptions {
  readonly cutter: Pick<ConnectionCutter, 'cutForbidden' | 'reopen'>
  /** A judge for one scan. */
  readonly judge: () => Judge
  readonly clock: Clock
  readonly done: (report: CutReport) => void
  readonly failed: (error: unknown) => void
}

/** Rest between two scans, so that a storm of changes costs a few scans a second, and each is cut within one. */
const REST_MS = 250

/**
 * Judges open connections after each enforced change and has the forbidden ones cut. Off the hot path: the
 * first change is looked at when it is enforced, those that come meanwhile together after a rest.
 */
export class ConnectionScan {
  readonly #options: ConnectionScanOptions
  readonly #pace: Pace
  /** Addresses whose connections are to be judged; null: every local endpoint's. */
  #addresses: Set<string> | null = new Set()

  constructor(options: ConnectionScanOptions) {
    this.#options = options
    this.#pace = new Pace({
      step: () => this.#scan(),
      clock: options.clock,
      firstPause: 200,
      longestPause: 10_000,
      failed: options.failed,
    })
  }

  /** Verdicts about these addresses may have changed; null: about any. */
  look(addresses: ReadonlySet<string> | null): void {
    if (addresses?.size === 0) return
    if (addresses === null) this.#addresses = null
    for (const address of addresses ?? []) this.#addresses?.add(address)
    this.#reopen().catch(this.#options.failed)
    this.#pace.poke()
  }

  stop(): Promise<void> {
    return this.#pace.stop()
  }

  /** At once and beside a scan under way, which may take its time. */
  async #reopen(): Promise<void> {
    const { cutter, judge } = this.#options
    await cutter.reopen(judge())
  }

  async #scan(): Promise<void> {
    const { cutter, done, clock } = this.#options
    const judge = this.#options.judge()
    const addresses = this.#addresses
    this.#addresses = new Set()
    try {
      if (addresses === null) done(await cutter.cutForbidden(judge, FAMILIES))
      else done(await cutter.cutForbidden(among(addresses, judge), familiesOf(addresses)))
    } catch (error) {
      if (addresses === null) this.#addresses = null
      else for (const address of addresses) this.#addresses?.add(address)
      throw error
    }
    await new Promise<void>(resolve => clock.after(REST_MS, resolve))
  }
}

/** Leaves everything alone in which none of these addresses has a part. */
function among(addresses: ReadonlySet<string>, judge: Judge): Judge {
  return flow => (addresses.has(flow.source) || addresses.has(flow.destination) ? judge(flow) : 'not ours')
}
