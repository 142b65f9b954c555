import { existsSync } from 'node:fs'
import { foreground, systemProcesses } from '../kernel/process.ts'
import { SANDBOX_INIT } from './sandbox-init.ts'

const MARKER = '/run/podfence.sandbox'
const PASSED_ON = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const

/** Whether this process already runs in a sandbox: only then may the laboratory be built. */
export function insideSandbox(): boolean {
  return process.env.PODFENCE_SANDBOX === '1' && existsSync(MARKER)
}

/**
 * Makes the current program run where nothing of the machine can be touched: network, mount and pid
 * namespaces of its own, a private /run (xtables lock, `ip netns`, logs), loopback up. Call it first:
 *
 *     const { skip } = await enterSandbox()
 *
 * Outside it runs the program again inside (same arguments, `stdin` empty), passes signals in and the exit
 * code out (128 + number after a signal), and never returns. Everything inside ends with the program, and
 * with the outer process, however that ends. Returns the reason why there can be no sandbox, or false.
 */
export async function enterSandbox(): Promise<{ readonly skip: string | false }> {
  if (insideSandbox()) return { skip: false }
  const impossible = await sandboxObstacle()
  if (impossible !== null) return { skip: impossible }
  process.exit(await runInSandbox([process.execPath, ...process.execArgv, ...process.argv.slice(1)]))
}

/** Why no sandbox can be made here, or null when it can. It is tried, since the reasons are many. */
export async function sandboxObstacle(): Promise<string | null> {
  if (process.platform !== 'linux') return 'needs Linux'
  const processes = systemProcesses()
  for (const tool of ['unshare', 'setsid', 'perl', 'ip']) {
    const found = await processes.run('sh', ['-c', 'command -v "$1"', 'sh', tool])
    if (found.code !== 0) return `needs the program ${tool}`
  }
  const [file, ...args] = unshareCommand()
  const tried = await processes.run(file, [...args, 'mount', '-t', 'tmpfs', 'tmpfs', '/run'])
  return tried.code === 0 ? null : 'needs root, or the right to create namespaces'
}

/** Runs a command in a new sandbox with this process's output; resolves with its exit code. */
export async function runInSandbox(command: readonly string[]): Promise<number> {
  const [file, ...args] = unshareCommand()
  const child = foreground(file, [...args, 'perl', '-e', SANDBOX_INIT, '--', ...command], {
    PODFENCE_SANDBOX: '1',
  })
  const passOn = (signal: NodeJS.Signals) => child.write(`${signal.slice(3)}\n`)
  for (const signal of PASSED_ON) process.on(signal, passOn)
  const { code } = await child.ended
  for (const signal of PASSED_ON) process.off(signal, passOn)
  return code ?? 1
}

/**
 * `setsid` keeps a terminal's Ctrl-C from reaching the inside twice: it comes through the control line.
 * `--kill-child` takes the inside along when unshare itself is killed.
 */
function unshareCommand(): [string, ...string[]] {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const kinds = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  return ['setsid', 'unshare', ...user, ...kinds]
}
