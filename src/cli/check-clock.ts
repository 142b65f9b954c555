import type { Processes } from '../kernel/process.ts'
import { type Finding, green, yellow } from './finding.ts'

/** Whether somebody keeps this host's clock right: certificates are judged by it. */
export async function checkClock(processes: Processes): Promise<Finding> {
  const args = ['show', '--property', 'NTPSynchronized', '--value']
  const { code, stdout } = await processes.run('timedatectl', args, { timeoutMs: 10_000 })
  if (code !== 0) return green('clock', 'systemd does not tell whether it is kept right')
  if (stdout.trim() === 'yes') return green('clock', 'is kept right')
  return yellow('clock', 'is not synchronised', 'Run systemd-timesyncd or chrony.')
}
