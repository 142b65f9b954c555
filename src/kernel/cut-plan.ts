import type { ConntrackEntry, Flow } from './conntrack.ts'
import {
  type Deletion,
  deleteClient,
  deleteConnection,
  deleteServer,
  deleteTuple,
  elementOf,
} from './cut-tuple.ts'

interface Tuple {
  readonly flow: Flow
  /** Connections of this tuple that are to go. */
  readonly entries: ConntrackEntry[]
  /** Allowed ones beside them (a rule on the client's port can do that). */
  mixed: boolean
}

/**
 * `conntrack -D` walks the whole table each time (14 ms of buckets, 300 ms at 100 000 entries, measured, and a
 * multiple of it on a busy node). When that would take longer, packets are made to meet the cut sets first.
 */
const PATIENCE_MS = 100
/**
 * When it would take longer than this, whole servers or clients are deleted at once, where every connection of theirs
 * was to go. What of theirs was opened and allowed since the scan goes with them, so this is for floods only.
 */
const FLOOD_MS = 5000
const FLOOD = 32
/** How many addresses of connections that stay are remembered. With more of them, a second scan tells. */
const MOST_SPARED = 10_000

/** Which connections of one scan are to go, and the conntrack commands for it. */
export class CutPlan {
  readonly #tuples = new Map<string, Tuple>()
  readonly #allowed = new Set<string>()
  /** Both ends of every connection that stays; null: too many. */
  #spared: Set<string> | null = new Set()
  #scanMs = 0

  note(entry: ConntrackEntry, verdict: 'allow' | 'deny' | 'not ours'): void {
    if (verdict === 'allow' || verdict === 'not ours') this.#spare(entry.flow)
    if (verdict === 'not ours') return
    const key = elementOf(entry.flow)
    const tuple = this.#tuples.get(key)
    if (verdict === 'allow') {
      // Only entries of a kind that was denied before matter here; the others are too many to remember.
      if (entry.flow.sourcePort !== undefined) this.#allowed.add(key)
      if (tuple !== undefined) tuple.mixed = true
      return
    }
    if (tuple !== undefined) tuple.entries.push(entry)
    else this.#tuples.set(key, { flow: entry.flow, entries: [entry], mixed: this.#allowed.has(key) })
  }

  took(milliseconds: number): void {
    this.#scanMs = milliseconds
  }

  get empty(): boolean {
    return this.#tuples.size === 0
  }

  /** The tuples to close. One that also has allowed connections stays open, or those would be cut too. */
  tuples(): readonly Flow[] {
    return [...this.#tuples.values()]
      .filter(({ flow, mixed }) => !mixed && canReopen(flow))
      .map(({ flow }) => flow)
  }

  deletions(): readonly Deletion[] {
    return [...this.#tuples.values()].flatMap(deletionsOf)
  }

  /** Leaves out what policy has allowed again since the scan: its connections may be new ones. */
  reconsider(allowed: (flow: Flow) => boolean): void {
    for (const [key, { flow }] of this.#tuples) {
      if (!allowed(flow)) continue
      this.#tuples.delete(key)
      this.#spare(flow)
    }
  }

  /** Whether the deletions would take long, each as long as the scan did. */
  get isLong(): boolean {
    const { length } = this.deletions()
    return length > 4 && length * this.#scanMs > PATIENCE_MS
  }

  /** Whether they would take so long that wider ones are better. */
  get isFlood(): boolean {
    const { length } = this.deletions()
    return length > FLOOD && length * this.#scanMs > FLOOD_MS
  }

  widened(): WiderPlan {
    return new WiderPlan([...this.#tuples.values()], this.#spared)
  }

  #spare({ source, destination }: Flow): void {
    this.#spared?.add(source).add(destination)
    if (this.#spared !== null && this.#spared.size > MOST_SPARED) this.#spared = null
  }
}

/** The same deletions in fewer, wider commands. */
export class WiderPlan {
  /** False: `spare` is still to name every connection that must not go. */
  readonly certain: boolean
  readonly #tuples: readonly Tuple[]
  readonly #servers: Set<string>
  readonly #clients: Set<string>

  constructor(tuples: readonly Tuple[], spared: ReadonlySet<string> | null) {
    this.certain = spared !== null
    this.#tuples = tuples
    const goes = (address: string) => !spared?.has(address)
    this.#servers = new Set(tuples.map(({ flow }) => flow.destination).filter(goes))
    this.#clients = new Set(tuples.map(({ flow }) => flow.source).filter(goes))
  }

  spare({ source, destination }: Flow): void {
    this.#servers.delete(destination)
    this.#clients.delete(source)
  }

  deletions(): readonly Deletion[] {
    const deletions = new Map<string, Deletion>()
    const add = (deletion: Deletion) => deletions.set(deletion.join(' '), deletion)
    for (const tuple of this.#tuples) {
      const { family, source, destination } = tuple.flow
      if (this.#servers.has(destination)) add(deleteServer(family, destination))
      else if (this.#clients.has(source)) add(deleteClient(family, source))
      else for (const deletion of deletionsOf(tuple)) add(deletion)
    }
    return [...deletions.values()]
  }
}

/**
 * Whether the server's next packet could open the connection again. An ICMP answer without its entry is INVALID;
 * the tuple, which has no ports to tell the two directions apart, would only close the server's own requests.
 */
function canReopen({ family, protocol }: Flow): boolean {
  return protocol !== (family === 4 ? 1 : 58)
}

function deletionsOf({ flow, entries, mixed }: Tuple): readonly Deletion[] {
  return mixed ? entries.map(deleteConnection) : [deleteTuple(flow)]
}
