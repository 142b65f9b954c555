import type { Clock } from './clock.ts'

/** Starts `systemd-notify` with these arguments; never throws. The agent passes its process runner. */
export type NotifyRunner = (file: string, args: readonly string[]) => Promise<unknown>

export interface NotifierOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly run: NotifyRunner
  readonly clock: Clock
  readonly pid?: number
}

/** Each status is a process of its own, so systemd hears the latest one, and not more often than this. */
const STATUS_PAUSE_MS = 1000

/**
 * Tells systemd how the service is. Without NOTIFY_SOCKET everything here does nothing.
 *
 * Through the program `systemd-notify`, since Node cannot send on a datagram socket itself; one after the other, so that
 * systemd hears things in their order. READY waits for systemd's receipt, which avoids losing it when the sender is gone
 * before systemd has looked at it; the others do not wait.
 */
export class Notifier {
  /** How often systemd wants to hear of progress: half its limit, in ms; null when it does not. */
  readonly watchdogEvery: number | null
  readonly #run: NotifyRunner
  readonly #clock: Clock
  readonly #enabled: boolean
  #queue: Promise<void> = Promise.resolve()
  #status = ''
  #told = ''
  #pausing = false

  constructor({ env, run, clock, pid = process.pid }: NotifierOptions) {
    this.#run = run
    this.#clock = clock
    this.#enabled = (env.NOTIFY_SOCKET ?? '') !== ''
    this.watchdogEvery = this.#enabled ? watchdogEvery(env, pid) : null
  }

  /** The service has begun; `status` as below, the last one when left out. Resolves when systemd knows it. */
  ready(status: string = this.#status): Promise<void> {
    this.#status = oneLine(status)
    return this.#send('--ready', ...this.#statusArgument())
  }

  /** What the service does, in one line, as `systemctl status` shows it. */
  status(text: string): void {
    this.#status = oneLine(text)
    this.#tell()
  }

  stopping(): Promise<void> {
    return this.#send('--no-block', 'STOPPING=1')
  }

  /** Work gets on. */
  watchdog(): void {
    void this.#send('--no-block', 'WATCHDOG=1')
  }

  #tell(): void {
    if (!this.#enabled || this.#pausing || this.#status === this.#told) return
    void this.#send('--no-block', ...this.#statusArgument())
    this.#pausing = true
    this.#clock.after(STATUS_PAUSE_MS, () => {
      this.#pausing = false
      this.#tell()
    })
  }

  #statusArgument(): string[] {
    this.#told = this.#status
    return this.#status === '' ? [] : [`--status=${this.#status}`]
  }

  #send(...args: string[]): Promise<void> {
    if (this.#enabled)
      this.#queue = this.#queue.then(async () => {
        // A missing systemd-notify must not stop the firewall; systemd's own time-out tells.
        await this.#run('systemd-notify', args).catch(() => {})
      })
    return this.#queue
  }
}

/** systemd reads variables line by line, so a line break would make a second one. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 200)
}

function watchdogEvery(env: NotifierOptions['env'], pid: number): number | null {
  const limit = Number(env.WATCHDOG_USEC)
  // WATCHDOG_PID names whom the limit is for: a parent's environment is not ours.
  const forUs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid)
  return forUs && limit > 0 ? limit / 2000 : null
}
