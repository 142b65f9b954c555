import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { until } from '../../until.ts'
import { Host, PATIENCE_MS } from './host.ts'

const BOOT = join(import.meta.dirname, 'boot.sh')

/** Copies a tree, so that it stays pristine; answers where the copy is, in place of an older one of that name. */
export function copyTree(pristine: string, name: string): string {
  const tree = `${pristine}.${name}`
  execFileSync('rm', ['-rf', '--one-file-system', tree])
  execFileSync('cp', ['-a', pristine, tree])
  return tree
}

/** A Debian tree in which systemd is process 1: namespaces and a network of its own, on this machine's kernel. */
export class Machine extends Host {
  readonly #tree: string
  #container: ChildProcess | null = null
  #ended: Promise<unknown> = Promise.resolve()
  #leader = ''

  constructor(tree: string) {
    super()
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
    await until(
      'the first process',
      async () => {
        if (container.exitCode !== null) throw new Error(`it ended: ${readFileSync(this.console, 'utf8')}`)
        const [nspawn = ''] = childrenOf(String(container.pid))
        const [leader = ''] = nspawn === '' ? [] : childrenOf(nspawn)
        this.#leader = leader
        return leader !== '' && (await this.attempt('[ -S /run/systemd/private ]')).code === 0
      },
      PATIENCE_MS,
    )
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

  /** Holds its systemd still for some seconds; all else goes on. It goes on after them even when this process is killed. */
  async holdSystemd(seconds: number): Promise<void> {
    const script = `trap '' INT TERM HUP; kill -STOP ${this.#leader}; sleep ${seconds}; kill -CONT ${this.#leader}`
    const shell = spawn('sh', ['-c', script], { stdio: 'inherit' })
    await new Promise(resolve => shell.on('close', resolve))
  }

  protected shell(script: string): readonly [string, ...string[]] {
    const clean = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C']
    return ['nsenter', '--target', this.#leader, '--all', '--', ...clean, 'bash', '-c', script]
  }
}

/** None of a process that is gone: what starts the machine runs short programs first. */
function childrenOf(pid: string): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    return text === '' ? [] : text.split(' ')
  } catch {
    return []
  }
}
