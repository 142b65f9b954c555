import type { Processes } from './process.ts'
import { failureOf, howEnded, isRemark, type RestoreError } from './restore-error.ts'

/**
 * The fallback where a restore tool does not do for a session: one process for these lines, whose
 * transactions each end with an acknowledgement of `acks`. Resolves with what went wrong, or null.
 */
export async function restoreOnce(
  processes: Processes,
  file: string,
  work: { readonly lines: readonly string[]; readonly acks: readonly string[]; readonly timeoutMs: number },
): Promise<RestoreError | null> {
  const { lines, acks, timeoutMs } = work
  const input = `${lines.join('\n')}\n`
  const end = await processes.run(file, ['--noflush', '-v', '-w'], { input, timeoutMs, tied: true })
  if (end.code === 0) return null
  const echoed = new Set(end.stdout.split('\n'))
  const acknowledged = acks.filter(ack => echoed.has(ack)).length
  const stderr = end.stderr.split('\n').filter(line => !isRemark(line))
  const spoke = end.signal === null && stderr.length > 0
  const failure = end.timedOut ? 'busy' : spoke ? 'refused' : 'lost'
  return failureOf(failure, howEnded(file, end), stderr, { lines, offset: 0, acknowledged })
}
