import { execFile, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Child, systemProcesses } from '../src/kernel/process.ts'
import { etcdArguments } from '../src/lab/lab-etcd.ts'

/** What something lives for, such as a test: it ends it by calling `end`. */
export interface Scope {
  teardown(end: () => unknown): void
}

/** Why no private etcd can be started here, or false: `t.test('...', { skip: etcdMissing }, ...)`. */
export const etcdMissing: string | false = ['etcd', 'etcdctl'].every(
  program => spawnSync(program, [program === 'etcd' ? '--version' : 'version']).status === 0,
)
  ? false
  : 'etcd and etcdctl are not installed (Debian: etcd-server, etcd-client)'

/** Its children end when this process dies in whatever way. */
const PROCESSES = systemProcesses()

export interface EtcdTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
  /** A certificate for `etcdctl`, which must have one too. */
  readonly clientCert: string
  readonly clientKey: string
}

export interface EtcdSettings {
  /** A port to listen on; a free one when absent. */
  readonly port?: number
  readonly tls?: EtcdTls
  /** Further arguments of etcd, after ours. */
  readonly args?: readonly string[]
}

/** A private etcd on 127.0.0.1 with its data in a temporary directory; it ends with the test. */
export class TestEtcd {
  readonly port: number
  readonly endpoint: string
  private readonly dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'podfence-etcd-'))
  private readonly peerPort: number
  private readonly settings: EtcdSettings
  private child: Child | null = null

  constructor(port: number, peerPort: number, settings: EtcdSettings) {
    this.port = port
    this.peerPort = peerPort
    this.settings = settings
    this.endpoint = `${settings.tls ? 'https' : 'http'}://127.0.0.1:${port}`
  }

  get pid(): number {
    if (this.child?.pid === undefined) throw new Error('etcd is not running')
    return this.child.pid
  }

  private get data(): string {
    return join(this.dir, 'data')
  }

  /** Starts (again) on the same port and data; resolves when it serves. */
  async start(): Promise<void> {
    if (this.child) throw new Error('etcd is already running')
    const peer = `http://127.0.0.1:${this.peerPort}`
    const { tls } = this.settings
    const args = [
      ...etcdArguments({ data: this.data, endpoint: this.endpoint, peer }),
      ...(tls ? ['--cert-file', tls.cert, '--key-file', tls.key] : []),
      ...(tls ? ['--client-cert-auth', '--trusted-ca-file', tls.ca] : []),
      ...(this.settings.args ?? []),
    ]
    await new Promise<void>((resolve, reject) => {
      let log = ''
      const child = PROCESSES.start('etcd', args, {
        onErrorLine(line) {
          log = `${log}${line}\n`.slice(-3000)
          if (/serving (insecure )?client (requests|traffic)/.test(line)) resolve()
        },
      })
      this.child = child
      void child.ended.then(({ code }) => reject(new Error(`etcd ended with ${code}:\n${log}`)))
    })
  }

  /** Ends it by SIGKILL unless told otherwise; its data stays. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { child } = this
    if (!child) return
    this.child = null
    try {
      process.kill(child.pid!, signal)
      // A frozen one takes no other signal.
      if (signal !== 'SIGKILL') process.kill(child.pid!, 'SIGCONT')
    } catch {
      // It has ended by itself.
    }
    await child.ended
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** The process stands still, its connections stay open. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** Restarts with no data at all: same address, same cluster id, revision 1. */
  async wipe(): Promise<void> {
    await this.stop()
    rmSync(this.data, { recursive: true, force: true })
    await this.start()
  }

  /** Keeps a copy of the data (stops and starts again); `restore()` brings it back. */
  async save(): Promise<void> {
    await this.stop('SIGTERM')
    cpSync(this.data, join(this.dir, 'saved'), { recursive: true })
    await this.start()
  }

  async restore(): Promise<void> {
    await this.stop()
    rmSync(this.data, { recursive: true, force: true })
    cpSync(join(this.dir, 'saved'), this.data, { recursive: true })
    await this.start()
  }

  /** Runs etcdctl (API v3) and returns what it prints. */
  async ctl(...args: readonly string[]): Promise<string> {
    const { tls } = this.settings
    const secure = tls ? ['--cacert', tls.ca, '--cert', tls.clientCert, '--key', tls.clientKey] : []
    const { stdout } = await promisify(execFile)(
      'etcdctl',
      ['--endpoints', this.endpoint, ...secure, ...args],
      { env: { ...process.env, ETCDCTL_API: '3' } },
    )
    return stdout
  }

  async put(key: string, value: string): Promise<void> {
    await this.ctl('put', '--', key, value)
  }

  /** The store's current revision. */
  async revision(): Promise<number> {
    const header = JSON.parse(await this.ctl('get', 'none', '-w', 'json')).header
    return Number(header.revision)
  }

  async end(): Promise<void> {
    await this.stop()
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** Starts a private etcd that ends with the test `t`. */
export async function startEtcd(t: Scope, settings: EtcdSettings = {}): Promise<TestEtcd> {
  const [port, peerPort] = await freePorts(2)
  const etcd = new TestEtcd(settings.port ?? port!, peerPort!, settings)
  t.teardown(() => etcd.end())
  await etcd.start()
  return etcd
}

/** Ports of 127.0.0.1 that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports: number[] = []
  for (const server of servers) {
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    ports.push((server.address() as { port: number }).port)
  }
  for (const server of servers) await new Promise(resolve => server.close(resolve))
  return ports
}
