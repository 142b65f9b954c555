import type { Clock } from './clock.ts'

/** Runs `systemd-notify` with these arguments until it ends; `code` as it exits. The agent passes its process runner. */
export type NotifyRunner = (
  file: string,
  args: readonly string[],
) => Promise<{ readonly code: number | null }>

export interface NotifierOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly run: NotifyRunner
  readonly clock: Clock
  readonly pid?: number
}

/** Each message is a process of its own, so systemd hears the latest state, and not more often than this. */
const PAUSE_MS = 1000

/**
 * Tells systemd how the service is. Without NOTIFY_SOCKET everything here does nothing.
 *
 * Through the program `systemd-notify`, since Node cannot send on a datagram socket itself. systemd drops a message whose
 * sender is gone before it looks, since it cannot tell whose it was. So each waits for its receipt (systemd-notify does, for
 * 5 s, unless it is told `--no-block`), and what got none is said again.
 */
export class Notifier {
  /** How often systemd wants to hear of progress: half its limit, in ms; null when it does not. */
  readonly watchdogEvery: number | null
  readonly #run: NotifyRunner
  readonly #clock: Clock
  readonly #enabled: boolean
  #isReady = false
  #status = ''
  /** There is progress that systemd has not heard of. */
  #getsOn = false
  /** The state that systemd has last received. */
  #received = ''
  /** While a message is under way, and for the pause after it. */
  #isBusy = false
  #underWay: Promise<void> = Promise.resolve()
  #dropPause: () => void = () => {}

  constructor({ env, run, clock, pid = process.pid }: NotifierOptions) {
    this.#run = run
    this.#clock = clock
    this.#enabled = (env.NOTIFY_SOCKET ?? '') !== ''
    this.watchdogEvery = this.#enabled ? watchdogEvery(env, pid) : null
  }

  /** The service has begun; `status` as below, the last one when left out. Resolves when systemd knows it, or is late. */
  async ready(status: string = this.#status): Promise<void> {
    this.#isReady = true
    this.#status = oneLine(status)
    await this.#underWay
    this.#dropPause()
    this.#isBusy = false
    this.#tell()
    await this.#underWay
  }

  /** What the service does, in one line, as `systemctl status` shows it. */
  status(text: string): void {
    this.#status = oneLine(text)
    this.#tell()
  }

  /** Work gets on. */
  watchdog(): void {
    this.#getsOn = true
    this.#tell()
  }

  /** The service ends; it does not wait for a receipt, since its end tells the same. */
  async stopping(): Promise<void> {
    await this.#underWay
    if (this.#enabled) await this.#send(['--no-block', 'STOPPING=1'])
  }

  #tell(): void {
    if (!this.#enabled || this.#isBusy) return
    const state = this.#isReady ? ['--ready'] : []
    if (this.#status !== '') state.push(`--status=${this.#status}`)
    if (state.join(' ') === this.#received && !this.#getsOn) return
    this.#isBusy = true
    this.#underWay = this.#say(state)
  }

  async #say(state: readonly string[]): Promise<void> {
    const getsOn = this.#getsOn
    this.#getsOn = false
    const received = await this.#send(getsOn ? [...state, 'WATCHDOG=1'] : state)
    // Without a receipt systemd may have it or not.
    this.#received = received ? state.join(' ') : ''
    if (!received) this.#getsOn ||= getsOn
    this.#dropPause = this.#clock.after(PAUSE_MS, () => {
      this.#isBusy = false
      this.#tell()
    })
  }

  /** Whether systemd has received it. */
  async #send(message: readonly string[]): Promise<boolean> {
    // A missing systemd-notify must not stop the firewall; systemd's own time-out tells.
    return this.#run('systemd-notify', message).then(
      ({ code }) => code === 0,
      () => false,
    )
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
