import type { ConnectionCutter, EndReport, Judge } from '../kernel/cut.ts'
import type { Clock } from './clock.ts'
import { Pace } from './pace.ts'

export interface FormerConnectionsOptions {
  readonly cutter: Pick<ConnectionCutter, 'end'>
  /** Judges by the policy that the kernel has. */
  readonly judge: () => Judge
  readonly clock: Clock
  readonly unclosed: (failures: EndReport['unclosed']) => void
  readonly failed: (error: unknown) => void
}

/**
 * Sees to it that an address carries nothing of its former owner: what is open with it ends when it is given up, and
 * else when it has a new owner, who is let in only then. So nothing of the new owner's is ever ended.
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
      step: () => this.#end(() => this.#waiting, null),
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
   * Of the addresses that endpoints have got, those with which something of a former owner's may be open. `taken`: those
   * of which a former owner is known.
   */
  due(got: ReadonlySet<string>, taken: ReadonlySet<string>): ReadonlySet<string> {
    return new Set([...got].filter(address => taken.has(address) || this.#waiting.has(address)))
  }

  /**
   * Ends what is open with addresses that nobody can use meanwhile, and closes what of it the new owners may not have:
   * their programs may hold what the former ones were sent, and an answer to it would else open the connection again as
   * the new owner's own. What cannot be ended is told, and the new owners do not wait for it.
   */
  async end(addresses: ReadonlySet<string>): Promise<void> {
    try {
      await this.#end(() => addresses, this.#options.judge())
    } catch (error) {
      for (const address of addresses) this.#waiting.delete(address)
      this.#options.failed(error)
    }
  }

  stop(): Promise<void> {
    return this.#pace.stop()
  }

  /** One at a time, so that nothing asked for earlier is still under way when a later one has ended. */
  #end(which: () => ReadonlySet<string>, judge: Judge | null): Promise<void> {
    const turn = this.#queue.then(async () => {
      const addresses = new Set(which())
      if (addresses.size === 0) return
      const { unclosed } = await this.#options.cutter.end(addresses, judge)
      if (unclosed.length > 0) this.#options.unclosed(unclosed)
      for (const address of addresses) this.#waiting.delete(address)
    })
    this.#queue = turn.catch(() => {})
    return turn
  }
}
