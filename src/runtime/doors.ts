import type { Logger } from './log.ts'

interface Served {
  close(): unknown
}

/** After so long a door that could not be opened is tried again. */
const RETRY_MS = 5000

/**
 * Through which others see a daemon: ports and sockets. One that cannot be had is told, tried again and meanwhile done
 * without: a daemon's own work matters more.
 */
export class Doors {
  readonly #component: string
  readonly #log: Logger
  readonly #opened: Served[] = []
  readonly #retries = new Set<NodeJS.Timeout>()
  #closed = false

  constructor(component: string, log: Logger) {
    this.#component = component
    this.#log = log
  }

  /** `fatal`: which failures of the first try are thrown instead. */
  async open(
    what: string,
    door: () => Promise<Served>,
    fatal: (error: unknown) => boolean = () => false,
  ): Promise<void> {
    try {
      await this.#keep(await door())
    } catch (err) {
      if (fatal(err)) throw err
      this.#log.error({ err, component: this.#component }, `${what} cannot be served`)
      this.#later(what, door)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const retry of this.#retries) clearTimeout(retry)
    for (const door of this.#opened) await door.close()
  }

  /** It may have taken so long that nobody wants it any more. */
  async #keep(door: Served): Promise<void> {
    if (this.#closed) await door.close()
    else this.#opened.push(door)
  }

  #later(what: string, door: () => Promise<Served>): void {
    if (this.#closed) return
    const retry = setTimeout(async () => {
      this.#retries.delete(retry)
      try {
        await this.#keep(await door())
        if (!this.#closed) this.#log.info({ component: this.#component }, `${what} is served now`)
      } catch {
        this.#later(what, door)
      }
    }, RETRY_MS)
    this.#retries.add(retry)
  }
}
