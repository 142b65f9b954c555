import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const BOOT = join(import.meta.dirname, 'boot.sh')

/** How a command in a machine ended. */
export interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** A Debian tree in which systemd is process 1: namespaces and a network of its own, on this machine's kernel. */
export class Machine {
  readonly #tree: string
  #container: ChildProcess | null = null
  #ended: Promise<unknown> = Promise.resolve()
  #leader = ''

  constructor(tree: string) {
    this.#tree = tree
  }

  /** What the tree's console shows. */
  get console(): string {
    return `${this.#tree}.console`
  }

  /** Starts it, without waiting for what it starts. */
  async start(): Promise<void> {
    // When this process is killed the machine is shut down.
    const container = spawn('setpriv', ['--pdeathsig', 'TERM', BOOT, this.#tree, this.console], {
      stdio: 'inherit',
    })
    this.#container = container
    this.#ended = new Promise(resolve => container.on('close', resolve))
    await until('the first process', async () => {
      if (container.exitCode !== null) throw new Error(`it ended: ${readFileSync(this.console, 'utf8')}`)
      const [nspawn = ''] = childrenOf(String(container.pid))
      const [leader = ''] = nspawn === '' ? [] : childrenOf(nspawn)
      this.#leader = leader
      return leader !== '' && (await this.attempt('[ -S /run/systemd/private ]')).code === 0
    })
  }

  /** Waits until all that it starts at boot is there; answers `running`, or `degraded` when a unit has failed. */
  async booted(): Promise<string> {
    const { out } = await this.attempt('systemctl is-system-running --wait', 120_000)
    return out.trim()
  }

  /** Runs a shell script as root inside. */
  async attempt(script: string, timeout = 60_000): Promise<Said> {
    const enter = [
      '--target',
      this.#leader,
      '--all',
      '--',
      'env',
      '-i',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'LC_ALL=C',
    ]
    try {
      const { stdout, stderr } = await execute('nsenter', [...enter, 'bash', '-c', script], {
        timeout,
        maxBuffer: 1 << 26,
      })
      return { code: 0, out: stdout, err: stderr }
    } catch (error) {
      const { code, stdout, stderr } = error as { code: unknown; stdout: string; stderr: string }
      return { code: typeof code === 'number' ? code : 255, out: stdout, err: stderr }
    }
  }

  /** The same, and what it printed. Throws when it fails. */
  async run(script: string, timeout?: number): Promise<string> {
    const { code, out, err } = await this.attempt(script, timeout)
    if (code !== 0) throw new Error(`exit ${code}: ${script}\n${out}${err}`)
    return out
  }

  /** One property of a unit. */
  async property(unit: string, name: string): Promise<string> {
    return (await this.run(`systemctl show ${unit} --property ${name} --value`)).trim()
  }

  /** Ends it in order, as a shutdown does. */
  async powerOff(): Promise<void> {
    if (this.#container === null) return
    this.#container.kill('SIGTERM')
    const late = pause(30_000, 'late', { ref: false })
    if ((await Promise.race([this.#ended, late])) === 'late') this.#container.kill('SIGKILL')
    await this.#ended
    this.#container = null
  }
}

function childrenOf(pid: string): string[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ')
}

/** Asks again until the answer is true. Throws when that takes longer than a slow machine may need. */
export async function until(what: string, check: () => Promise<boolean>, patienceMs = 60_000): Promise<void> {
  const end = Date.now() + patienceMs
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${patienceMs / 1000} s`)
    await pause(100)
  }
}
