import { readFile } from 'node:fs/promises'
import type { Child, Ended, Processes } from './process.ts'

export interface MonitorProcessOptions {
  readonly processes: Processes
  readonly onLine: (line: string) => void
  /** It ended: what it has begun to tell will not be finished. */
  readonly onEnd: () => void
  /** It listens again; what happened meanwhile it does not know. */
  readonly onBack: () => void
  /** Told when that changes: why nothing is heard; null: it is again. */
  readonly onDeaf: (why: string | null) => void
  readonly pauses?: MonitorPauses
}

/** Milliseconds. */
export interface MonitorPauses {
  /** Before the first restart; doubled by each further one. */
  readonly first: number
  readonly longest: number
  /** One that has listened for so long is well. */
  readonly steady: number
}

const PAUSES: MonitorPauses = { first: 1000, longest: 300_000, steady: 10_000 }

/** Keeps one `nft monitor` running: one that ends is started again, ever later while none lasts. */
export class MonitorProcess {
  readonly #options: MonitorProcessOptions
  readonly #pauses: MonitorPauses
  #child: Child | null = null
  #stopped = false
  #failures = 0
  #deaf = false
  #timer: NodeJS.Timeout | null = null

  constructor(options: MonitorProcessOptions) {
    this.#options = options
    this.#pauses = options.pauses ?? PAUSES
  }

  get running(): boolean {
    return this.#child !== null
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when it listens, or has ended. */
  async start(): Promise<void> {
    const { processes, onLine, onBack } = this.#options
    let said = ''
    const child = processes.start('nft', ['monitor'], {
      onLine,
      onErrorLine(line) {
        said = line
      },
    })
    this.#child = child
    const ended = child.ended.then(end => {
      if (this.#child === child) this.#ended(said || reasonOf(end))
      return false
    })
    const listens = await Promise.race([listening(child.pid).then(() => true), ended])
    if (!listens || this.#child !== child) return
    if (this.#failures > 0) onBack()
    this.#later(this.#pauses.steady, () => {
      this.#failures = 0
      this.#tell(null)
    })
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const child = this.#child
    this.#child = null
    child?.kill()
  }

  #ended(why: string): void {
    this.#child = null
    this.#options.onEnd()
    const { first, longest } = this.#pauses
    // The first end may be a mishap; a second one before it was well again is not.
    if (this.#failures++ > 0) this.#tell(why)
    this.#later(Math.min(longest, first * 2 ** Math.min(this.#failures - 1, 30)), () => void this.start())
  }

  #tell(why: string | null): void {
    if (this.#deaf === (why !== null)) return
    this.#deaf = why !== null
    this.#options.onDeaf(why)
  }

  /** One timer at a time: for the next start, or for being well. */
  #later(ms: number, work: () => void): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      if (!this.#stopped) work()
    }, ms)
    this.#timer.unref()
  }
}

function reasonOf({ missing, code, signal }: Ended): string {
  return missing ? 'there is no program nft' : `it ended with ${code ?? signal}`
}

/** `nft monitor` says nothing when it is ready, but its netlink socket with its groups can be seen. */
async function listening(pid: number | undefined): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const sockets = await readFile('/proc/net/netlink', 'utf8').catch(() => '')
    for (const line of sockets.split('\n')) {
      const [, protocol, port, groups = ''] = line.split(/\s+/)
      if (protocol === NETFILTER && Number(port) === pid && !/^0*$/.test(groups)) return
    }
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

const NETFILTER = '12'
