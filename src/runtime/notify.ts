/** Starts `systemd-notify` with these arguments; never throws. The agent passes its process runner. */
export type NotifyRunner = (file: string, args: readonly string[]) => Promise<unknown>

/** Tells systemd how the agent is. Without NOTIFY_SOCKET everything here does nothing. */
export interface Notifier {
  ready(status: string): Promise<void>
  status(text: string): Promise<void>
  stopping(): Promise<void>
  watchdog(): Promise<void>
  /** How often systemd wants to hear of progress: half its limit, in ms; null when it does not. */
  readonly watchdogEvery: number | null
}

/**
 * Through the program `systemd-notify`, since Node cannot send on a datagram socket itself. READY waits for
 * systemd's receipt, which avoids losing it when the sender is gone before systemd has looked at it; the others do not wait.
 */
export function createNotifier(
  env: Readonly<Record<string, string | undefined>>,
  run: NotifyRunner,
  pid: number = process.pid,
): Notifier {
  const enabled = (env.NOTIFY_SOCKET ?? '') !== ''
  const send = async (...args: string[]) => {
    if (!enabled) return
    try {
      await run('systemd-notify', args)
    } catch {
      // A missing systemd-notify must not stop the firewall; systemd's own time-out tells.
    }
  }
  return {
    ready: status => send('--ready', statusArgument(status)),
    status: text => send('--no-block', statusArgument(text)),
    stopping: () => send('--no-block', 'STOPPING=1'),
    watchdog: () => send('--no-block', 'WATCHDOG=1'),
    watchdogEvery: enabled ? watchdogEvery(env, pid) : null,
  }
}

/** systemd reads variables line by line, so a line break would make a second one. */
function statusArgument(text: string): string {
  return `--status=${text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 200)}`
}

function watchdogEvery(env: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  const limit = Number(env.WATCHDOG_USEC)
  // WATCHDOG_PID names whom the limit is for: a parent's environment is not ours.
  const forUs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid)
  return forUs && limit > 0 ? limit / 2000 : null
}
