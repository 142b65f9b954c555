import type { KernelDriver } from '../kernel/driver.ts'
import type { Applied, Repaired } from '../kernel/report.ts'
import { FAMILIES, type Family } from '../model/values.ts'
import { memberOf } from '../policy/address-set.ts'
import { PolicyEngine } from '../policy/engine.ts'
import type { PolicyDelta, SetId } from '../policy/outcome.ts'
import { addressOwners, movedAddresses } from '../render/address-owners.ts'
import type { KernelDelta } from '../render/kernel-delta.ts'
import type { NameCollision } from '../render/name.ts'
import type { RenderOptions } from '../render/options.ts'
import { type PlacedLocal, PlacedView } from '../render/placed-view.ts'
import { Renderer } from '../render/renderer.ts'
import type { SourceEvent } from '../source/event.ts'
import type { Clock } from './clock.ts'
import type { FormerConnections } from './former-connections.ts'
import { Intake } from './intake.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'
import { Revisions } from './revisions.ts'

export interface EnforcementOptions {
  readonly host: string
  readonly render: RenderOptions
  readonly driver: KernelDriver
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: Metrics
  /** What is open with addresses that change hands. */
  readonly former: Pick<FormerConnections, 'due' | 'end'> | null
  /** The families in which rules of ours stand in the other backend. */
  readonly standingElsewhere: () => Promise<readonly Family[]>
  /**
   * Hears, once a change is enforced, of which addresses the verdicts may have changed (null: of any), and which
   * endpoints of this node have given up.
   */
  readonly enforced: (addresses: ReadonlySet<string> | null, left: ReadonlySet<string>) => void
}

/**
 * The flow from an event of the source to acknowledged rules:
 *
 *     take(event) ── Intake ── ModelTree ── PolicyEngine     at once, as the event comes
 *     step()      ── Renderer ── KernelDriver           when the pace says so
 *
 * Before the first snapshot the kernel's rules of ours stand as they are; where there are none, the gate
 * closes what is a workload's.
 */
export class Enforcement {
  readonly engine: PolicyEngine
  readonly intake: Intake
  readonly #options: EnforcementOptions
  #render: RenderOptions
  #renderer: Renderer
  #inSync = false
  /** The kernel was brought to the whole state once with the present renderer. */
  #adopted = false
  readonly revisions = new Revisions()
  #view: PlacedView
  /** Addresses whose verdicts changed by what is not yet acknowledged; null: any. */
  #touched: Set<string> | null = null
  /** Addresses given up by what is not yet acknowledged. */
  #left = new Set<string>()
  /** Addresses that have a new owner, and are closed until what is open with them is ended. */
  #held: ReadonlySet<string> = new Set()
  /** When the oldest change that is not yet enforced came, in the clock's ms. */
  #waitingSince: number | null = null

  constructor(options: EnforcementOptions) {
    this.#options = options
    this.engine = new PolicyEngine(options.host)
    this.intake = new Intake({ ...options, engine: this.engine })
    this.#render = options.render
    this.#renderer = new Renderer(options.render)
    this.#view = new PlacedView(this.engine, options.render)
  }

  /** Policy as the rendered rules have it: for all who say what packets do. */
  get view(): PlacedView {
    return this.#view
  }

  /** This node's workload endpoints, by id. */
  endpoints(): readonly PlacedLocal[] {
    return this.engine.endpoints().map(endpoint => this.#view.place(endpoint))
  }

  /** A complete snapshot was taken in. */
  get inSync(): boolean {
    return this.#inSync
  }

  /**
   * Closes the workloads in each family where the kernel holds nothing of ours. Call before the first step, and again
   * until the first sync: what an earlier run left in the other backend is nobody's to repair.
   */
  async gate(): Promise<void> {
    const { driver, log, standingElsewhere } = this.#options
    // The gate would come after the first step.
    if (this.#adopted) return
    const families = await driver.hold(this.#renderer.gate(), standingElsewhere)
    if (families.length > 0)
      log.info(
        { component: 'kernel', families },
        'no rules of ours were there: workloads are closed until the first sync',
      )
  }

  /** Takes an event in. True when there is something to enforce. */
  take(event: SourceEvent): boolean {
    if (event.kind === 'connection') return false
    const { clock, metrics } = this.#options
    const began = clock.now()
    this.intake.take(event)
    if (event.kind === 'snapshot') {
      this.#inSync = true
      metrics.resyncs_started.inc()
    }
    this.revisions.see(event.revision)
    this.#waitingSince ??= began
    return true
  }

  /** Other options for the text: the next step writes everything that looks different with them. */
  setRenderOptions(render: RenderOptions): void {
    this.#render = render
    this.#renderer = new Renderer(render)
    this.#view = new PlacedView(this.engine, render)
    this.#adopted = false
  }

  /** Brings the kernel to the present state. Throws what the driver throws; the next step goes on from there. */
  async step(): Promise<void> {
    const { driver, clock, metrics, log } = this.#options
    if (!this.#inSync) {
      // Only what a failed repair has left undone.
      await driver.apply({ sets: [], chains: [] })
      return
    }
    const mark = this.revisions.mark()
    const { revision } = mark
    const since = this.#waitingSince
    this.#waitingSince = null
    const began = clock.now()
    try {
      const applied = await (this.#adopted ? this.#apply() : this.#adopt())
      this.revisions.apply(mark, applied)
      const ms = Math.round((clock.now() - began) * 10) / 10
      if (applied.transactions > 0) {
        const { chains, rules, setLines, transactions } = applied
        log.info({ component: 'kernel', revision, chains, rules, setLines, transactions, ms }, 'applied')
        metrics.int_dataplane_apply_time_seconds.observe(ms / 1000)
      }
      if (since !== null) metrics.policy_programming_duration_seconds.observe((clock.now() - since) / 1000)
      metrics.last_apply_timestamp_seconds.setToCurrentTime()
      this.#tellEnforced()
    } catch (error) {
      this.#waitingSince ??= since
      metrics.int_dataplane_failures.inc()
      throw error
    }
  }

  /** Makes packets meet the cut sets before established connections pass, or no longer. */
  async cutFirst(on: boolean): Promise<void> {
    if (this.#adopted) await this.#options.driver.apply(this.#renderer.cutFirst(on))
  }

  /** Reads the kernel back and repairs what differs; before the first sync, what was kept or put there till then. */
  refresh(): Promise<Repaired> {
    return this.#options.driver.resync()
  }

  /** While others had opened our rules, connections may have been made that policy denies. */
  doubtConnections(): void {
    if (this.#inSync) this.#options.enforced(null, new Set())
  }

  /** What got no chain or set, since another has its name. */
  collisions(): readonly NameCollision[] {
    return this.#renderer.collisions()
  }

  /** The whole desired state as kernel text values, for `render`. */
  desired() {
    return this.#renderer.full(this.#membersOf)
  }

  readonly #membersOf = (id: SetId) => [...(this.engine.setMembers(id)?.addresses() ?? [])].map(memberOf)

  async #apply(): Promise<Applied> {
    const { driver, metrics } = this.#options
    const delta = this.engine.take()
    const changed = delta.endpoints.size + delta.lists.size + delta.sets.size
    metrics.calc_graph_output_events.inc(changed)
    const interests = changed > 0 ? this.engine.interestsOf(delta) : null
    const { sets, chains } = this.#rendered(delta)
    if (interests === null) return this.#release(await driver.apply({ sets, chains }))
    const { addresses, left, got, taken } = interests
    for (const address of addresses) this.#touched?.add(address)
    for (const address of left) this.#left.add(address)
    const closing = this.#hold(got, taken)
    return this.#release(await driver.apply({ sets, chains: [...chains, ...closing.chains] }))
  }

  /** A driver that threw holds what it was given, so the whole state is handed over once only. */
  async #adopt(): Promise<Applied> {
    this.engine.take()
    this.#rendered(this.engine.whole())
    this.#adopted = true
    this.#touched = null
    const full = this.desired()
    const owners = ownersIn(full)
    for (const address of movedAddresses(this.#heldOwners(), owners)) this.#left.add(address)
    const { chains } = this.#hold(new Set(owners.keys()), new Set())
    return this.#release(await this.#options.driver.adopt(chains.length > 0 ? this.desired() : full))
  }

  /** Closes what was another's before: its last packets could else pass as the new owner's. */
  #hold(got: ReadonlySet<string>, taken: ReadonlySet<string>): KernelDelta {
    const { former } = this.#options
    const given = [...got].filter(address => this.#left.delete(address))
    const due = former?.due(got, new Set([...taken, ...given])) ?? []
    this.#held = new Set([...this.#held, ...due])
    return this.#renderer.hold(this.#held)
  }

  /** Lets the new owners in, once nothing of the former ones is open. */
  async #release(applied: Applied): Promise<Applied> {
    const { former, driver } = this.#options
    if (this.#held.size === 0) return applied
    await former?.end(this.#held)
    this.#held = new Set()
    const released = await driver.apply(this.#renderer.hold(this.#held))
    const sum = (name: 'transactions' | 'chains' | 'rules' | 'setLines') => applied[name] + released[name]
    return {
      ...released,
      transactions: sum('transactions'),
      chains: sum('chains'),
      rules: sum('rules'),
      setLines: sum('setLines'),
    }
  }

  /** A renderer that threw may hold half of the delta, which nobody else has any more: the next step begins anew. */
  #rendered(delta: PolicyDelta): KernelDelta {
    try {
      return this.#renderer.render(delta, this.#membersOf)
    } catch (error) {
      this.setRenderOptions(this.#render)
      throw error
    }
  }

  #tellEnforced(): void {
    const [touched, left] = [this.#touched, this.#left]
    this.#touched = new Set()
    this.#left = new Set()
    this.#options.enforced(touched, left)
  }

  /** Who owns which address, as the kernel's chains have it. */
  #heldOwners(): ReadonlyMap<string, string> {
    const { driver } = this.#options
    return ownersBy(family => driver.heldChains(family, 'filter'))
  }
}

/** Who will own which address when these chains are in the kernel. */
function ownersIn({ chains }: KernelDelta): ReadonlyMap<string, string> {
  return ownersBy(family => {
    const own = chains.filter(chain => chain.family === family && chain.table === 'filter')
    return new Map(own.map(({ name, rules }) => [name, rules ?? []]))
  })
}

function ownersBy(
  chainsOf: (family: Family) => ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, string> {
  return new Map(FAMILIES.flatMap(family => [...addressOwners(chainsOf(family))]))
}
