import { randomBytes } from 'node:crypto'
import { PodfenceError } from '../errors.ts'
import type { KernelCounters } from './counters.ts'
import { assertPlainLines } from './plain-line.ts'
import type { Child, Processes } from './process.ts'
import { failureOf, howEnded, isRemark, type RestoreError } from './restore-error.ts'
import { restoreOnce } from './restore-once.ts'

export interface RestoreSessionOptions {
  readonly processes: Processes
  /** The binary, `ip6tables-legacy-restore`. */
  readonly file: string
  readonly counters: KernelCounters
  /** Told when a transaction has waited so long that another must hold the lock (milliseconds), and `null` when it is through. */
  readonly onWaiting?: (milliseconds: number | null) => void
  /** From when on a missing acknowledgement is reported as waiting. Default 1 s. */
  readonly waitingAfterMs?: number
  /** Until when it is waited for before KERNEL_BUSY. Default 60 s. */
  readonly busyAfterMs?: number
  /** How long the first echo may take before this version counts as unfit for a session. Default 5 s. */
  readonly probeMs?: number
}

interface InFlight {
  readonly lines: readonly string[]
  /** Lines that the process had read before ours, for the numbers in its complaints. */
  readonly offset: number
  readonly acks: readonly string[]
  acknowledged: number
  readonly settle: (error: RestoreError | null) => void
}

/**
 * One long-lived `iptables-restore --noflush -v -w` of one family. It commits at every COMMIT line and
 * echoes comment lines at once, so a comment after COMMIT is the acknowledgement. It ends itself at the
 * first bad line, with nothing of that transaction applied; the next commit starts it anew.
 * Whole transactions only: legacy holds the machine's lock from the table line to COMMIT.
 */
export class RestoreSession {
  readonly #options: RestoreSessionOptions
  /** Random, so that no text from a store can ever pass for an acknowledgement. */
  readonly #token = randomBytes(9).toString('hex')
  #child: Child | null = null
  #stderr: string[] = []
  #linesRead = 0
  #sequence = 0
  #inFlight: InFlight | null = null
  #queue: Promise<unknown> = Promise.resolve()
  #spawnPerUpdate = false

  constructor(options: RestoreSessionOptions) {
    this.#options = options
  }

  /** True when the probe failed and every update pays for a process of its own. For the status. */
  get spawnPerUpdate(): boolean {
    return this.#spawnPerUpdate
  }

  /** Starts the process and sees whether it echoes. Throws PREREQUISITE_MISSING when there is no such tool. */
  async open(): Promise<void> {
    const child = this.#start()
    const probed = new Promise<'echo' | 'silence'>(resolve => {
      const timer = setTimeout(() => resolve('silence'), this.#options.probeMs ?? 5000)
      const settle = (error: RestoreError | null) => {
        clearTimeout(timer)
        resolve(error === null ? 'echo' : 'silence')
      }
      this.#send([], [this.#nextAck()], settle)
    })
    if ((await probed) === 'echo') return
    this.#inFlight = null
    this.#forget(child)
    const end = await child.ended
    if (end.missing)
      throw new PodfenceError('PREREQUISITE_MISSING', `there is no program ${this.#options.file}`)
    this.#spawnPerUpdate = true
  }

  /**
   * Commits whole transactions in order: each is its lines from `*table` to `COMMIT`. Resolves when all
   * are acknowledged. Throws RestoreError; each transaction is applied whole or not at all.
   */
  commit(transactions: readonly (readonly string[])[]): Promise<void> {
    const turn = this.#queue.then(() => this.#commit(transactions))
    this.#queue = turn.catch(() => {})
    return turn
  }

  async #commit(transactions: readonly (readonly string[])[]): Promise<void> {
    if (transactions.length === 0) return
    const acks: string[] = []
    const lines: string[] = []
    for (const transaction of transactions) {
      assertPlainLines(transaction)
      const ack = this.#nextAck()
      acks.push(ack)
      for (const line of transaction) lines.push(line)
      lines.push(ack)
    }
    this.#options.counters.restoreTransactions += transactions.length
    this.#options.counters.restoreLines += lines.length - acks.length
    try {
      await this.#patiently(lines, acks)
    } catch (error) {
      this.#options.counters.restoreErrors++
      throw error
    }
  }

  #patiently(lines: readonly string[], acks: readonly string[]): Promise<void> {
    const { onWaiting, waitingAfterMs = 1000, busyAfterMs = 60_000 } = this.#options
    const started = Date.now()
    let waiting = false
    return new Promise<void>((resolve, reject) => {
      const settle = (error: RestoreError | null) => {
        clearInterval(timer)
        if (waiting) onWaiting?.(null)
        if (error === null) resolve()
        else reject(error)
      }
      const timer = setInterval(
        () => {
          waiting = true
          const elapsed = Date.now() - started
          onWaiting?.(elapsed)
          if (elapsed < busyAfterMs || this.#child === null) return
          // The transaction must not come through later, behind the back of what is decided now.
          this.#fail('busy', `${this.#options.file} has waited ${elapsed} ms for the lock`)
        },
        Math.min(waitingAfterMs, busyAfterMs),
      )
      if (!this.#spawnPerUpdate) this.#send(lines, acks, settle)
      else {
        const { processes, file } = this.#options
        restoreOnce(processes, file, { lines, acks, timeoutMs: busyAfterMs }).then(settle)
      }
    })
  }

  #send(lines: readonly string[], acks: readonly string[], settle: InFlight['settle']): void {
    if (this.#child === null) {
      this.#start()
      this.#options.counters.restoreRespawns++
    }
    this.#inFlight = { lines, offset: this.#linesRead, acks, acknowledged: 0, settle }
    const written = lines.length === 0 ? acks : lines
    this.#linesRead += written.length
    this.#child?.write(`${written.join('\n')}\n`)
  }

  #start(): Child {
    this.#stderr = []
    this.#linesRead = 0
    const child: Child = this.#options.processes.start(this.#options.file, ['--noflush', '-v', '-w'], {
      onLine: line => {
        if (this.#child === child) this.#heard(line)
      },
      onErrorLine: line => {
        if (this.#child === child && !isRemark(line)) this.#stderr.push(line)
      },
    })
    this.#child = child
    child.ended.then(end => {
      if (this.#child !== child) return
      this.#child = null
      const said = this.#stderr.length > 0
      this.#fail(said && end.signal === null ? 'refused' : 'lost', howEnded(this.#options.file, end))
    })
    return child
  }

  #heard(line: string): void {
    const flight = this.#inFlight
    if (flight === null || line !== flight.acks[flight.acknowledged]) return
    flight.acknowledged++
    if (flight.acknowledged < flight.acks.length) return
    this.#inFlight = null
    flight.settle(null)
  }

  #fail(failure: RestoreError['failure'], what: string): void {
    const flight = this.#inFlight
    if (this.#child !== null) this.#forget(this.#child)
    this.#inFlight = null
    if (flight === null) return
    flight.settle(failureOf(failure, what, this.#stderr, flight))
  }

  /** Kills a process whose further words no longer count. */
  #forget(child: Child): void {
    if (this.#child === child) this.#child = null
    child.kill()
  }

  #nextAck(): string {
    return `# podf-ack ${this.#token} ${this.#sequence++}`
  }

  /** Lets what is under way finish, then ends the process. */
  async close(): Promise<void> {
    await this.#queue
    const child = this.#child
    this.#child = null
    child?.end()
    await child?.ended
  }
}
