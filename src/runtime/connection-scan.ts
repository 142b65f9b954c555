import type { Flow } from '../kernel/conntrack.ts'
import { type ConnectionCutter, type CutReport, familiesOf } from '../kernel/cut.ts'
import { FAMILIES } from '../model/values.ts'
import { type JudgeOptions, permits } from '../policy/verdict.ts'
import type { PolicyView } from '../policy/view.ts'
import type { Clock } from './clock.ts'
import { Pace } from './pace.ts'

export interface ConnectionScanOptions {
  readonly cutter: Pick<ConnectionCutter, 'cutForbidden' | 'reopen'>
  readonly view: PolicyView
  /** The settings that hold now. */
  readonly judge: () => Pick<JudgeOptions, 'nodeToWorkload' | 'workloadToNode'>
  readonly clock: Clock
  /** Addresses of this node, canonical; asked before each scan. */
  readonly nodeAddresses: () => ReadonlySet<string>
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
    const { cutter, nodeAddresses } = this.#options
    let node: ReadonlySet<string> | undefined
    await cutter.reopen(flow => {
      node ??= nodeAddresses()
      return this.#verdict(flow, null, node)
    })
  }

  async #scan(): Promise<void> {
    const { cutter, nodeAddresses, done, clock } = this.#options
    const [addresses, node] = [this.#addresses, nodeAddresses()]
    this.#addresses = new Set()
    try {
      const families = addresses === null ? FAMILIES : familiesOf(addresses)
      done(await cutter.cutForbidden(flow => this.#verdict(flow, addresses, node), families))
    } catch (error) {
      if (addresses === null) this.#addresses = null
      else for (const address of addresses) this.#addresses?.add(address)
      throw error
    }
    await new Promise<void>(resolve => clock.after(REST_MS, resolve))
  }

  #verdict(
    flow: Flow,
    addresses: ReadonlySet<string> | null,
    node: ReadonlySet<string>,
  ): 'allow' | 'deny' | 'not ours' {
    const { source, destination } = flow
    if (addresses !== null && !addresses.has(source) && !addresses.has(destination)) return 'not ours'
    const { view, judge } = this.#options
    if (view.localByAddress(source).length === 0 && view.localByAddress(destination).length === 0)
      return 'not ours'
    const path = node.has(source) ? 'from-node' : node.has(destination) ? 'to-node' : 'forward'
    return permits(view, { ...flow, path }, judge()) ? 'allow' : 'deny'
  }
}
