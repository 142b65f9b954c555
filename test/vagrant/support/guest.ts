import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Host } from '../../systemd/support/host.ts'
import { until } from '../../until.ts'

const execute = promisify(execFile)

/** A machine of vagrant/Vagrantfile, reached as `vagrant ssh` reaches it. */
export class Guest extends Host {
  readonly name: string
  readonly #options: readonly string[]
  #connection: ChildProcess | null = null
  #closed = false

  /** `config` is what `vagrant ssh-config` says. */
  constructor(name: string, config: string) {
    super()
    this.name = name
    this.#options = [
      '-F',
      config,
      '-o',
      `ControlPath=${join(dirname(config), name)}`,
      '-o',
      'ConnectTimeout=10',
    ]
  }

  /** Opens the one connection that all commands share, since each of its own costs a slow machine a second. */
  async connect(): Promise<void> {
    await until(
      `${this.name} answers`,
      async () => {
        if (this.#closed) throw new Error(`${this.name}: its connection was closed`)
        this.#connection?.kill()
        const connection = spawn('ssh', [...this.#options, '-M', '-N', this.name], { stdio: 'ignore' })
        this.#connection = connection
        while (connection.exitCode === null && connection.signalCode === null) {
          if (await this.#shared()) return true
          await pause(200)
        }
        return false
      },
      180_000,
    )
  }

  /** Copies a file to the machine. */
  async copy(file: string, to: string): Promise<void> {
    await execute('scp', ['-q', ...this.#options, file, `${this.name}:${to}`])
  }

  /** Reboots it in order. Returns when it answers again, with the milliseconds since. */
  async reboot(): Promise<number> {
    const before = await this.run('cat /proc/sys/kernel/random/boot_id')
    const began = Date.now()
    await this.attempt('systemctl reboot')
    await until(
      `${this.name} has started anew`,
      async () => {
        await this.connect()
        const { code, out } = await this.attempt('cat /proc/sys/kernel/random/boot_id')
        return code === 0 && out !== before
      },
      180_000,
    )
    return Date.now() - began
  }

  /** Ends the connection, for good. */
  close(): void {
    this.#closed = true
    this.#connection?.kill()
  }

  protected shell(script: string): readonly [string, ...string[]] {
    return ['ssh', ...this.#options, this.name, `sudo bash -c '${script.replaceAll("'", `'\\''`)}'`]
  }

  /** Whether other commands can use the connection. */
  async #shared(): Promise<boolean> {
    const asked = spawn('ssh', [...this.#options, '-O', 'check', this.name], { stdio: 'ignore' })
    return new Promise(resolve => asked.on('close', code => resolve(code === 0)))
  }
}
