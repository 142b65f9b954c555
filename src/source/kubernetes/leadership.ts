import { setTimeout as sleep } from 'node:timers/promises'
import type { Lease } from './lease.ts'

export interface LeadershipOptions {
  /** Between two signs of the holder, and between two looks of the others. */
  readonly everyMs?: number
  /** Hears of each change: who leads now, as far as known. */
  readonly changed?: (state: { readonly leading: boolean; readonly holder: string | null }) => void
  /** Hears of every request that failed. */
  readonly failed?: (error: unknown) => void
}

const EVERY_MS = 2_000
/** Within the time that a lease is held, a request that gets no answer leaves time for another. */
const ANSWER_MS = 4_000

/**
 * Runs `work` whenever the lease is ours, until `signal` aborts; releases the lease then. The signal of `work` aborts
 * when the lease is lost, or is not renewed in time; it must stop then, before another one begins. Rejects with whatever
 * `work` throws before; resolves when it ends by itself.
 */
export async function whileLeading(
  lease: Lease,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
  options: LeadershipOptions = {},
): Promise<void> {
  const { everyMs = EVERY_MS, failed = () => {} } = options
  const told = teller(lease, options.changed ?? (() => {}))
  const pause = (until: AbortSignal) =>
    sleep(everyMs * (0.8 + Math.random() * 0.4), undefined, { signal: until }).catch(() => {})
  const attempt = async (until: AbortSignal) => {
    const limit = { signal: until, answerMs: ANSWER_MS }
    await lease.attempt(limit).catch(error => {
      if (!until.aborted) failed(error)
    })
    told(lease.held)
  }
  while (!signal.aborted) {
    await attempt(signal)
    if (!lease.held) {
      await pause(signal)
      continue
    }
    const end = new AbortController()
    const leading = AbortSignal.any([signal, end.signal])
    const renewing = renew(lease, attempt, pause, leading).then(() => end.abort('the lease is lost'))
    try {
      await work(leading)
      if (!end.signal.aborted) return
    } catch (error) {
      if (!leading.aborted) throw error
      if (error !== leading.reason) failed(error)
    } finally {
      end.abort('over')
      await renewing
      told(false)
      if (lease.held) await lease.release({ answerMs: ANSWER_MS }).catch(failed)
    }
  }
}

/** Until the lease is not ours any more, also when a request hangs. */
async function renew(
  lease: Lease,
  attempt: (signal: AbortSignal) => Promise<void>,
  pause: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (lease.held && !signal.aborted) {
    const round = new AbortController()
    const stop = () => round.abort(signal.reason)
    const late = setTimeout(stop, lease.heldUntil - lease.options.now())
    // Not AbortSignal.any: a signal remembers each of those for as long as it lives.
    signal.addEventListener('abort', stop, { once: true })
    await pause(round.signal)
    if (!round.signal.aborted) await attempt(round.signal)
    signal.removeEventListener('abort', stop)
    clearTimeout(late)
  }
}

function teller(lease: Lease, changed: NonNullable<LeadershipOptions['changed']>) {
  let last = ''
  return (leading: boolean) => {
    const state = { leading, holder: lease.holder }
    if (JSON.stringify(state) === last) return
    last = JSON.stringify(state)
    changed(state)
  }
}
