import { fileURLToPath } from 'node:url'
import type { Child, Processes } from '../../src/kernel/process.ts'
import type { LabNode } from '../../src/lab/node.ts'
import type { Store } from '../../src/source/store.ts'

const PROGRAM = fileURLToPath(new URL('bare-agent.js', import.meta.url))
/** Where the bare agent watches; no agent of ours looks there. */
const KEY = '/bench/floor'

export interface BareTexts {
  readonly restore4?: string
  readonly restore6?: string
  readonly ipset?: string
}

/** The bare agent on a node of its own, driven and timed as the real one is. */
export class BareFloor {
  readonly #child: Child
  readonly #store: Store
  readonly #waiting = new Map<string, (at: number) => void>()
  readonly #early = new Map<string, number>()

  private constructor(processes: Processes, node: LabNode, etcd: string, store: Store) {
    this.#store = store
    const env = Object.entries(node.env).map(([name, value]) => `${name}=${value}`)
    const inside = ['netns', 'exec', node.namespace, 'env', ...env]
    this.#child = processes.start('ip', [...inside, process.execPath, PROGRAM, etcd, KEY, node.backend], {
      onLine: line => this.#heard(line),
      onErrorLine: line => process.stderr.write(`bare agent: ${line}\n`),
    })
  }

  static async open(processes: Processes, node: LabNode, etcd: string, store: Store): Promise<BareFloor> {
    const floor = new BareFloor(processes, node, etcd, store)
    await floor.#hear('ready ')
    return floor
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** What is written when `word` is put. */
  async learn(word: string, texts: BareTexts): Promise<void> {
    this.#child.write(`${JSON.stringify({ word, ...texts })}\n`)
    await this.#hear(`ready ${word}`)
  }

  /** Milliseconds from the put of `word` until all tools of the bare agent have acknowledged. */
  async time(word: string): Promise<number> {
    const began = performance.now()
    const revision = await this.#store.commit({ puts: [{ key: KEY, value: word }] })
    return (await this.#hear(`done ${revision}`)) - began
  }

  async close(): Promise<void> {
    this.#child.end()
    await this.#child.ended
  }

  #hear(line: string): Promise<number> {
    const early = this.#early.get(line)
    this.#early.delete(line)
    if (early !== undefined) return Promise.resolve(early)
    return new Promise(resolve => this.#waiting.set(line, resolve))
  }

  #heard(line: string): void {
    const at = performance.now()
    const waiting = this.#waiting.get(line)
    this.#waiting.delete(line)
    if (waiting === undefined) this.#early.set(line, at)
    else waiting(at)
  }
}
