import type { ConnectionCutter } from '../kernel/cut.ts'
import type { Clock } from './clock.ts'
import { Pace } from './pace.ts'

export interface FormerConnectionsOptions {
  readonly cutter: Pick<ConnectionCutter, 'end'>
  readonly clock: Clock
  readonly failed: (error: unknown) => void
}

/**
 * Sees to it that an address carries nothing of its former owner: what is open with it ends when it is given up, and
 * at the latest before its new owner's chains open. So nothing of the new owner's is ever ended.
 */
export class FormerConnections {
  readonly #options: FormerConnectionsOptions
  readonly #pace: Pace
  /** Addresses whose connections are still to end. */
  readonly #waiting = new Set<string>()
  #queue: Promise<void> = Promise.resolve()

  constructor(options: FormerConnectionsOptions) {
    this.#options = options
    this.#pace = new Pace({
      step: () => this.#end(() => this.#waiting),
      clock: options.clock,
      firstPause: 200,
      longestPause: 10_000,
      failed: options.failed,
    })
  }

  /** Nobody on this node has these addresses any more, and the kernel has acknowledged it. Does not wait. */
  left(addresses: ReadonlySet<string>): void {
    if (addresses.size === 0) return
    for (const address of addresses) this.#waiting.add(address)
    this.#pace.poke()
  }

  /**
   * To be awaited before the kernel is told that addresses have new owners. `taken`: those of `got` of which a former
   * owner is known. Where the connections cannot be ended that is told, and the new owner does not wait for it.
   */
  async before(got: ReadonlySet<string>, taken: ReadonlySet<string>): Promise<void> {
    for (const address of taken) this.#waiting.add(address)
    const due = () => new Set([...got].filter(address => this.#waiting.has(address)))
    if (due().size === 0) return
    try {
      await this.#end(due)
    } catch (error) {
      for (const address of due()) this.#waiting.delete(address)
      this.#options.failed(error)
    }
  }

  stop(): Promise<void> {
    return this.#pace.stop()
  }

  /** One at a time, so that nothing asked for earlier is still under way when a later one has ended. */
  #end(which: () => ReadonlySet<string>): Promise<void> {
    const turn = this.#queue.then(async () => {
      const addresses = new Set(which())
      if (addresses.size === 0) return
      await this.#options.cutter.end(addresses)
      for (const address of addresses) this.#waiting.delete(address)
    })
    this.#queue = turn.catch(() => {})
    return turn
  }
}
