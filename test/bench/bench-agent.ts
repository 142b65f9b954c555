import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Child, Ended, Processes } from '../../src/kernel/process.ts'
import type { LabNode } from '../../src/lab/node.ts'

/** The program that users start, as it was when the bench began. */
const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** Further flags of the agent's Node, for profiles: `BENCH_NODE_FLAGS='--cpu-prof --cpu-prof-dir=/tmp/prof'`. */
const FLAGS = (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean)

/** A line of the agent's log: everything up to `revision` is acknowledged by the kernel. */
export interface AppliedLine {
  readonly revision: bigint
  /** When the line arrived here, on the clock of performance.now(). */
  readonly at: number
  readonly chains: number
  readonly rules: number
  readonly setLines: number
  readonly transactions: number
}

export interface BenchAgentOptions {
  readonly node: LabNode
  /** Its store; absent: `flags` say where it reads. */
  readonly etcd?: string
  readonly flags?: readonly string[]
  /** A module that the agent's Node loads first. */
  readonly preload?: string
}

/**
 * The real agent on a node, with its log on a pipe. The line that it writes as soon as all tools have
 * acknowledged is the moment of "enforced": nothing is polled, and what reading the line costs comes after it.
 */
export class BenchAgent {
  readonly startedAt = performance.now()
  /** Every applied line so far. */
  readonly applied: AppliedLine[] = []
  /** When the line came that tells of the first sync; a restart that finds all as it should be writes no other. */
  #first: { readonly revision: bigint; readonly at: number } | null = null
  readonly #child: Child
  #log: string[] = []
  #ended = false
  #waiters: { readonly test: (line: string) => boolean; readonly heard: (at: number) => void }[] = []
  #fail: (error: Error) => void = () => {}
  readonly #over: Promise<never>

  constructor(processes: Processes, options: BenchAgentOptions) {
    const { node, etcd, flags = [], preload } = options
    mkdirSync(node.runDirectory, { recursive: true })
    const env = Object.entries(node.env).map(([name, value]) => `${name}=${value}`)
    const command = [
      ...['netns', 'exec', node.namespace, 'env', ...env],
      ...[process.execPath, ...FLAGS, ...(preload === undefined ? [] : ['--import', preload]), CLI, 'agent'],
      ...['--host-name', node.name, '--backend', node.backend],
      ...(etcd === undefined ? [] : ['--etcd-endpoints', etcd]),
      ...['--run-dir', node.runDirectory, '--log-format', 'json'],
      ...flags,
    ]
    this.#over = new Promise((_, reject) => {
      this.#fail = reject
    })
    this.#over.catch(() => {})
    this.#child = processes.start('ip', command, {
      onLine: line => this.#heard(line),
      onErrorLine: line => this.#heard(line),
    })
    void this.#child.ended.then(() => {
      this.#ended = true
      this.#fail(new Error(`the agent on ${node.name} ended:\n${this.#log.slice(-20).join('\n')}`))
    })
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The end of the log, for failures. */
  get log(): string {
    return this.#log.slice(-30).join('\n')
  }

  /** When everything up to `revision` was enforced. Waits for it. */
  async enforced(revision: bigint): Promise<number> {
    const done = () =>
      this.applied.find(line => line.revision >= revision)?.at ??
      (this.#first !== null && this.#first.revision >= revision ? this.#first.at : undefined)
    return done() ?? (await this.heard(() => done() !== undefined))
  }

  /** When the first line from now on came that passes the test. Throws when the agent ends, or after a minute. */
  heard(test: (line: string) => boolean): Promise<number> {
    const waited = new Promise<number>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`waited a minute for a line of the agent:\n${this.log}`)),
        60_000,
      )
      this.#waiters.push({
        test,
        heard: at => {
          clearTimeout(timer)
          resolve(at)
        },
      })
    })
    return Promise.race([waited, this.#over])
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    if (!this.#ended) process.kill(this.pid, signal)
    return this.#child.ended
  }

  #heard(line: string): void {
    const at = performance.now()
    this.#log.push(line)
    if (this.#log.length > 1000) this.#log = this.#log.slice(-100)
    if (line.includes('"msg":"applied"')) {
      const { revision, chains, rules, setLines, transactions } = JSON.parse(line)
      this.applied.push({ revision: numberOf(revision), at, chains, rules, setLines, transactions })
    }
    if (line.includes('"msg":"enforced for the first time"'))
      this.#first = { revision: numberOf(JSON.parse(line).revision), at }
    const heard = this.#waiters.filter(({ test }) => test(line))
    this.#waiters = this.#waiters.filter(waiter => !heard.includes(waiter))
    for (const waiter of heard) waiter.heard(at)
  }
}

/** Kubernetes' revisions have no order, so nobody can wait for one: -1. */
function numberOf(revision: string): bigint {
  return /^\d+$/.test(revision) ? BigInt(revision) : -1n
}
