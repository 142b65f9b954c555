import type { Family } from '../model/values.ts'
import type { Table } from '../render/kernel-delta.ts'
import type { KernelCounters } from './counters.ts'
import { type MonitorPauses, MonitorProcess } from './monitor-process.ts'
import { type ChainPlace, PARENTS, PREFIX } from './own-names.ts'
import type { Processes } from './process.ts'

export interface KernelMonitorOptions {
  readonly processes: Processes
  readonly counters: KernelCounters
  /** Someone else's commit touched these: chains of ours, or parents of our jumps. Calls come one at a time. */
  readonly onForeign: (places: readonly ChainPlace[]) => Promise<unknown>
  /** Events were lost, or the monitor ended and was started again: only a full read tells. */
  readonly onGap: () => Promise<unknown>
  /** Nothing is heard, and why; null: it is again. Told when that changes. */
  readonly onDeaf: (why: string | null) => void
  /** For tests. */
  readonly pauses?: MonitorPauses
}

/** A commit of ours that the monitor will report, as one generation that touches exactly these chains. */
interface Expected {
  readonly family: Family
  readonly table: Table
  readonly chains: ReadonlySet<string>
  readonly since: number
}

/** Events that come together are looked at together; while they keep coming, less often. */
const COALESCE_MS = 20
const COALESCE_MOST_MS = 100
/** An announced commit that the kernel has not told of by then was missed, and must not hide a later one. */
const EXPECTED_MS = 5000

/**
 * Follows `nft monitor` (nft backend only): the kernel tells of every commit, so nothing has to be read to
 * know that nobody touched our rules. Our own commits are told by what they touch, one expectation each: a
 * foreign commit that touches the very same chains at the same moment is taken for ours once, and then ours
 * is taken for foreign, so a read follows either way. The process id in the generation line says nothing:
 * it is the one of the init namespace, and one process may be anybody's.
 */
export class KernelMonitor {
  readonly #options: KernelMonitorOptions
  readonly #process: MonitorProcess
  #stopped = false
  readonly #expected = new Set<Expected>()
  /** What the generation that is being told has touched: `ip filter podf-FORWARD`. */
  #touched = new Set<string>()
  /** Lines that only append to a parent: our jump stays first. */
  #pending = new Map<string, ChainPlace>()
  #gap = false
  #timer: NodeJS.Timeout | null = null
  #wait = COALESCE_MS

  constructor(options: KernelMonitorOptions) {
    this.#options = options
    const { processes, onDeaf, pauses } = options
    this.#process = new MonitorProcess({
      processes,
      onLine: line => this.#heard(line),
      onEnd: () => {
        this.#touched.clear()
        this.#expected.clear()
      },
      onBack: () => {
        this.#gap = true
        this.#wake()
      },
      onDeaf,
      ...(pauses === undefined ? {} : { pauses }),
    })
  }

  /** Starts following; resolves when it listens, or cannot. Start before the first read, so that nothing falls between. */
  start(): Promise<void> {
    return this.#process.start()
  }

  /** The process id, for the memory figures; undefined while it is down. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Announces a commit of ours. Call the returned function when it was refused, and so will never be told. */
  expect(family: Family, table: Table, chains: readonly string[]): () => void {
    if (!this.#process.running) return () => {}
    const expected: Expected = { family, table, chains: new Set(chains), since: performance.now() }
    this.#expected.add(expected)
    return () => void this.#expected.delete(expected)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#process.stop()
  }

  #heard(line: string): void {
    if (line.startsWith('#')) {
      if (line.startsWith('# new generation')) this.#generation()
      else if (line.startsWith('# ERROR')) {
        // "We lost some netlink events": expectations may be among the lost.
        this.#touched.clear()
        this.#expected.clear()
        this.#gap = true
        this.#wake()
      }
      return
    }
    const event = EVENT.exec(line)
    if (event === null) return
    const [, verb = '', kind = '', family = '', table = '', chain = ''] = event
    if (chain.startsWith(PREFIX)) this.#touched.add(`${family} ${table} ${chain}`)
    else if ((PARENTS as Record<string, readonly string[]>)[table]?.includes(chain)) {
      // What is appended cannot stand before our jump, and a parent that appears comes with a rule.
      if (kind === 'chain' ? verb !== 'add' && verb !== 'create' : verb !== 'add')
        this.#touched.add(`${family} ${table} ${chain}`)
    }
  }

  #generation(): void {
    if (this.#touched.size === 0) return
    const touched = this.#touched
    this.#touched = new Set()
    for (const expected of this.#expected) {
      const overdue = performance.now() - expected.since > EXPECTED_MS
      const ours = isThis(expected, touched)
      if (ours || overdue) this.#expected.delete(expected)
      if (ours && !overdue) return
    }
    this.#options.counters.foreignCommits++
    for (const key of touched) this.#pending.set(key, placeOf(key))
    this.#wake()
  }

  #wake(): void {
    if (this.#timer !== null || this.#stopped) return
    this.#timer = setTimeout(() => {
      const places = [...this.#pending.values()]
      const gap = this.#gap
      this.#pending = new Map()
      this.#gap = false
      const { onGap, onForeign } = this.#options
      // Whoever is called tells of its failures itself, and its timer will look again.
      const work = gap ? onGap() : onForeign(places)
      work
        .catch(() => {})
        .then(() => {
          this.#timer = null
          const more = this.#pending.size > 0 || this.#gap
          this.#wait = more ? Math.min(this.#wait * 2, COALESCE_MOST_MS) : COALESCE_MS
          if (more) this.#wake()
        })
    }, this.#wait)
  }
}

const EVENT = /^(add|create|delete|insert|replace) (chain|rule) (ip6?) (filter|raw) (\S+)/

function isThis({ family, table, chains }: Expected, touched: ReadonlySet<string>): boolean {
  if (chains.size !== touched.size) return false
  const head = `${family === 4 ? 'ip' : 'ip6'} ${table} `
  for (const chain of chains) if (!touched.has(head + chain)) return false
  return true
}

function placeOf(key: string): ChainPlace {
  const [family, table, chain = ''] = key.split(' ')
  return { family: family === 'ip' ? 4 : 6, table: table === 'raw' ? 'raw' : 'filter', chain }
}
