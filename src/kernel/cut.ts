import { FAMILIES, type Family } from '../model/values.ts'
import { deleteEntries, type Flow } from './conntrack.ts'
import { ConntrackLister } from './conntrack-lister.ts'
import type { KernelCounters } from './counters.ts'
import { CutPlan } from './cut-plan.ts'
import { type Deletion, deleteClient, deleteServer, elementOf, flowOf } from './cut-tuple.ts'
import type { IpsetSession, LineFailure } from './ipset/session.ts'
import type { Processes } from './process.ts'
import { parseSets } from './set-picture.ts'

/** What is to become of a connection: `deny` cuts it; `not ours` when it does not concern this node's workloads. */
export type Judge = (flow: Flow) => 'allow' | 'deny' | 'not ours'

export interface ConnectionCutterOptions {
  readonly processes: Processes
  /** KernelDriver.ipset. */
  readonly ipset: Pick<IpsetSession, 'run'>
  readonly counters: KernelCounters
  /** The sets of type hash:ip,port,ip that the rendered rules look into. */
  readonly sets: Readonly<Record<Family, string>>
  /** How long a tuple stays closed for new packets. */
  readonly timeoutSeconds: number
  /**
   * Makes packets meet the sets before established connections pass, or no longer. Asked for when deleting what is
   * denied takes so long that it would go on meanwhile.
   */
  readonly cutFirst?: (on: boolean) => Promise<unknown>
  /** Milliseconds since any fixed moment. */
  readonly now?: () => number
}

export interface EndReport {
  /** Conntrack entries deleted. */
  readonly connections: number
  /** Tuples that the set did not take: their connections are deleted, but may come back. */
  readonly unclosed: readonly LineFailure[]
}

export interface CutReport extends EndReport {
  /** Tuples closed by this call, as `client,protocol:port,server`. */
  readonly tuples: readonly string[]
  /** Tuples opened again, since policy allows them again. */
  readonly reopened: readonly string[]
  readonly milliseconds: number
}

interface Closed {
  readonly flow: Flow
  readonly until: number
}

/** New packets can still make entries between a scan and the set's acknowledgement; later ones cannot. */
const ROUNDS = 3
/** How long the rules that look into the sets first are waited for before anything is deleted. */
const FIRST_MS = 300

/**
 * Ends connections that policy no longer allows. Call it when the new rules are acknowledged. First the
 * tuple goes into a set with a timeout, which new packets meet before any allow; when that is acknowledged
 * the entry is deleted. The other way round, the server's next packet would open the flow again as its own.
 */
export class ConnectionCutter {
  readonly #options: ConnectionCutterOptions
  readonly #now: () => number
  readonly #lister: ConntrackLister
  /** Null until the kernel's sets were read: an earlier run may have closed tuples. */
  #closed: Map<string, Closed> | null = null
  #reading: Promise<Map<string, Closed>> | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: ConnectionCutterOptions) {
    this.#options = options
    this.#lister = new ConntrackLister(options.processes)
    this.#now = options.now ?? (() => performance.now())
  }

  /**
   * Judges every tracked connection of some families and cuts the denied ones; opens tuples that are allowed again. One
   * call at a time. Throws PREREQUISITE_MISSING or KERNEL_UNREADABLE when conntrack cannot be used; then the
   * tuples found so far stay closed.
   */
  cutForbidden(judge: Judge, families: readonly Family[] = FAMILIES): Promise<CutReport> {
    const turn = this.#queue.then(() => this.#cut(judge, families))
    this.#queue = turn.catch(() => {})
    return turn
  }

  /**
   * Opens the tuples that policy allows again, and resolves with them. Does not wait for a cut under way: what is
   * allowed now must not wait for what is not.
   */
  async reopen(judge: Judge): Promise<readonly string[]> {
    return this.#closed === null ? [] : this.#reopen(this.#closed, judge)
  }

  /**
   * Deletes every tracked connection that one of these canonical addresses opened or answers, whatever policy says of
   * it; its next packet is judged as a new connection's. What `judge` denies is closed before. Does not wait for a cut
   * under way. Throws PREREQUISITE_MISSING, KERNEL_UNREADABLE.
   */
  async end(addresses: ReadonlySet<string>, judge: Judge | null): Promise<EndReport> {
    const { processes, counters } = this.#options
    const deletions = new Map<string, Deletion>()
    const add = (deletion: Deletion) => deletions.set(deletion.join(' '), deletion)
    const plan = new CutPlan()
    await this.#lister.list(entry => {
      const { family, source, destination } = entry.flow
      if (addresses.has(source)) add(deleteClient(family, source))
      if (addresses.has(destination)) add(deleteServer(family, destination))
      if (judge !== null && (addresses.has(source) || addresses.has(destination)))
        plan.note(entry, judge(entry.flow))
    }, familiesOf(addresses))
    const unclosed = plan.empty ? [] : await this.#close(await this.#closedTuples(), plan, new Set())
    const connections = await deleteEntries(processes, [...deletions.values()])
    counters.cutConnections += connections
    return { connections, unclosed }
  }

  async #cut(judge: Judge, families: readonly Family[]): Promise<CutReport> {
    const started = this.#now()
    const closed = await this.#closedTuples()
    const reopened = [...(await this.#reopen(closed, judge))]
    const tuples = new Set<string>()
    let unclosed: readonly LineFailure[] = []
    let connections = 0
    const { cutFirst, processes, counters } = this.#options
    let first: Promise<unknown> | null = null
    try {
      for (let round = 1; round <= ROUNDS; round++) {
        const plan = new CutPlan()
        await this.#scan(judge, families, plan)
        if (plan.empty) break
        unclosed = await this.#close(closed, plan, tuples)
        // Policy may have changed since the scan, and `reopen` did not know of these yet.
        reopened.push(...(await this.#reopen(closed, judge)))
        if (cutFirst !== undefined && plan.isLong) {
          // A failure is the driver's to mend, and whoever holds the rules' lock need not be waited for.
          first ??= cutFirst(true).catch(() => {})
          await Promise.race([first, new Promise(resolve => setTimeout(resolve, FIRST_MS))])
        }
        plan.reconsider(flow => judge(flow) === 'allow')
        connections += await deleteEntries(processes, await this.#deletions(plan, judge, families))
      }
    } finally {
      if (first !== null) await first.then(() => cutFirst?.(false)).catch(() => {})
    }
    counters.cutConnections += connections
    return { connections, tuples: [...tuples], unclosed, reopened, milliseconds: this.#now() - started }
  }

  async #deletions(plan: CutPlan, judge: Judge, families: readonly Family[]): Promise<readonly Deletion[]> {
    if (!plan.isFlood) return plan.deletions()
    const wider = plan.widened()
    if (!wider.certain)
      await this.#scan(flow => {
        const verdict = judge(flow)
        if (verdict === 'allow' || verdict === 'not ours') wider.spare(flow)
        return verdict
      }, families)
    return wider.deletions()
  }

  async #scan(judge: Judge, families: readonly Family[], plan?: CutPlan): Promise<void> {
    this.#options.counters.conntrackScans++
    const started = this.#now()
    await this.#lister.list(entry => {
      const verdict = judge(entry.flow)
      plan?.note(entry, verdict)
    }, families)
    plan?.took(this.#now() - started)
  }

  /** Puts the plan's tuples into the sets; resolves with those not taken when all is acknowledged. */
  async #close(
    closed: Map<string, Closed>,
    plan: CutPlan,
    done: Set<string>,
  ): Promise<readonly LineFailure[]> {
    const { sets, ipset, timeoutSeconds } = this.#options
    const flows = new Map<string, Flow>()
    for (const flow of plan.tuples())
      flows.set(`add ${sets[flow.family]} ${elementOf(flow)} timeout ${timeoutSeconds}`, flow)
    const failures = await ipset.run([...flows.keys()])
    for (const { line } of failures) flows.delete(line)
    const until = this.#now() + timeoutSeconds * 1000
    for (const flow of flows.values()) {
      closed.set(elementOf(flow), { flow, until })
      done.add(elementOf(flow))
    }
    return failures
  }

  async #reopen(closed: Map<string, Closed>, judge: Judge): Promise<readonly string[]> {
    const { sets, ipset } = this.#options
    const open = new Map<string, Closed>()
    for (const [element, entry] of closed) {
      const over = entry.until <= this.#now()
      if (!over && judge(entry.flow) !== 'allow') continue
      closed.delete(element)
      if (!over) open.set(element, entry)
    }
    if (open.size === 0) return []
    try {
      await ipset.run(Array.from(open, ([element, { flow }]) => `del ${sets[flow.family]} ${element}`))
    } catch (error) {
      for (const [element, entry] of open) closed.set(element, entry)
      throw error
    }
    return [...open.keys()]
  }

  async #closedTuples(): Promise<Map<string, Closed>> {
    if (this.#closed !== null) return this.#closed
    this.#reading ??= this.#readClosed()
    try {
      this.#closed = await this.#reading
    } finally {
      this.#reading = null
    }
    return this.#closed
  }

  async #readClosed(): Promise<Map<string, Closed>> {
    const { processes, sets, timeoutSeconds } = this.#options
    const closed = new Map<string, Closed>()
    const until = this.#now() + timeoutSeconds * 1000
    for (const family of [4, 6] as const) {
      const save = await processes.run('ipset', ['-'], { input: `save ${sets[family]}\n` })
      for (const { members } of parseSets(save.stdout).values()) {
        for (const element of members) {
          const flow = flowOf(element, family)
          if (flow !== null) closed.set(element, { flow, until })
        }
      }
    }
    return closed
  }
}

/** The families of which there is an address among these canonical ones. */
export function familiesOf(addresses: ReadonlySet<string>): readonly Family[] {
  return FAMILIES.filter(family => [...addresses].some(address => address.includes(':') === (family === 6)))
}
