import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** What a slow machine may need for anything but a boot. */
export const PATIENCE_MS = 60_000

/** How a command on a host ended. */
export interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** A host with a systemd of its own: a container, or a virtual machine. */
export abstract class Host {
  /** What runs bash there as root, with `script` as its one command. */
  protected abstract shell(script: string): readonly [program: string, ...args: string[]]

  /** Runs a shell script as root. */
  async attempt(script: string, timeout = PATIENCE_MS): Promise<Said> {
    const [program, ...args] = this.shell(script)
    try {
      const { stdout, stderr } = await execute(program, args, { timeout, maxBuffer: 1 << 26 })
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

  /** Waits until all that it starts at boot is there; answers `running`, or `degraded` when a unit has failed. */
  async booted(): Promise<string> {
    const { out } = await this.attempt('systemctl is-system-running --wait', 120_000)
    return out.trim()
  }
}
