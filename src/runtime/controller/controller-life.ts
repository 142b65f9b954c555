import type { SourceEvent } from '../../source/event.ts'
import type { Health } from '../health.ts'
import type { Logger } from '../log.ts'
import type { MetricsOf } from '../metrics.ts'
import type { Notifier } from '../notify.ts'
import type { Settings } from '../setting-table.ts'
import type { CONTROLLER_METRICS } from './metric-table.ts'
import type { TreeWriter, TreeWriterEvents } from './tree-writer.ts'

export interface ControllerLifeOptions {
  /** It comes later, since it tells us of its work. */
  readonly writer: () => Pick<TreeWriter, 'want' | 'wantChanges' | 'hold' | 'holdChanges'>
  readonly settings: Pick<Settings, 'sourceGrace'>
  readonly log: Logger
  readonly metrics: MetricsOf<typeof CONTROLLER_METRICS>
  readonly health: Health
  readonly notifier: Pick<Notifier, 'status'>
}

type SourceName = 'kubernetes' | 'etcd'

/** A few names are enough to know where to look. */
const MOST_NAMES = 5

/** Between the two sources, the writer, and all who are to know how it goes. */
export class ControllerLife {
  readonly #options: ControllerLifeOptions
  readonly #lost = new Map<SourceName, string>()
  readonly #listed = new Set<SourceName>()
  #leading = false
  /** Since this replica leads, the tree has been complete. */
  #complete = false
  #leaseTrouble = ''

  constructor(options: ControllerLifeOptions) {
    this.#options = options
    for (const source of ['kubernetes', 'etcd'] as const) this.#lost.set(source, 'not connected yet')
    this.#tell()
  }

  /** Kubernetes' objects, translated to the v1 tree. */
  kubernetes(event: SourceEvent): void {
    const writer = this.#options.writer()
    if (event.kind === 'snapshot') writer.want(event.entries)
    if (event.kind === 'changes') writer.wantChanges(event.changes)
    this.#heard('kubernetes', event)
  }

  etcd(event: SourceEvent): void {
    const writer = this.#options.writer()
    if (event.kind === 'snapshot') writer.hold(event.entries)
    if (event.kind === 'changes') writer.holdChanges(event.changes)
    this.#heard('etcd', event)
  }

  leadership({ leading, holder }: { readonly leading: boolean; readonly holder: string | null }): void {
    const { log, metrics } = this.#options
    metrics.controller_leading.set(leading ? 1 : 0)
    this.#leaseTrouble = ''
    if (leading !== this.#leading || !leading)
      log.info(
        { component: 'lease', holder },
        leading ? 'this controller writes' : 'another controller writes, or none',
      )
    this.#leading = leading
    this.#complete &&= leading
    if (!leading) this.#options.health.report('apply', null)
    this.#tell()
  }

  /** It is tried again soon, so the same trouble is told once. */
  leaseTrouble(error: unknown): void {
    const { message } = error as Error
    if (message !== this.#leaseTrouble)
      this.#options.log.warn({ err: error, component: 'lease' }, 'the lease cannot be looked after')
    this.#leaseTrouble = message
  }

  /** What the writer tells. */
  readonly written: TreeWriterEvents = {
    wrote: ({ units, keys, revision, ms }) => {
      const { log, metrics } = this.#options
      metrics.controller_transactions.inc()
      metrics.controller_keys_written.inc(keys)
      metrics.controller_write_time_seconds.observe(ms / 1000)
      log.debug({ component: 'writer', objects: units, keys, revision: String(revision), ms }, 'written')
    },
    repairing: units => {
      this.#options.metrics.controller_repairs.inc(units.length)
      const objects = units.slice(0, MOST_NAMES)
      this.#options.log.info(
        { component: 'writer', objects, count: units.length },
        'changed by others, put right',
      )
    },
    conflict: () => this.#options.metrics.controller_conflicts.inc(),
    trouble: error => {
      const { log, health } = this.#options
      health.report('apply', error?.message ?? null)
      if (error === null) log.info({ component: 'writer' }, 'etcd is written again')
      else log.warn({ err: error, component: 'writer' }, 'etcd cannot be written')
      this.#tell()
    },
    tooLarge: unit =>
      this.#options.log.error(
        { component: 'writer', object: unit },
        'too large for etcd; what it allows is left out, and a policy with too long a selector closes its namespace',
      ),
    complete: () => {
      this.#options.metrics.controller_last_complete_timestamp_seconds.set(Date.now() / 1000)
      if (!this.#complete) this.#options.log.info({ component: 'writer' }, 'the tree is complete')
      this.#complete = true
      this.#options.health.report('apply', null)
      this.#tell()
    },
  }

  #heard(source: SourceName, event: SourceEvent): void {
    const { log, metrics } = this.#options
    if (event.kind === 'snapshot') {
      metrics.controller_snapshots.inc({ source })
      if (!this.#listed.has(source)) log.info({ component: source, keys: event.entries.size }, 'listed')
      this.#listed.add(source)
      this.#tell()
    }
    if (event.kind !== 'connection') return
    const { connected, reason } = event
    if (connected !== !this.#lost.has(source))
      log[connected ? 'info' : 'warn'](
        { component: source, reason },
        connected ? 'connected' : 'connection lost',
      )
    else log.info({ component: source }, reason)
    if (connected) this.#lost.delete(source)
    else this.#lost.set(source, reason)
    metrics.controller_source_connected.set({ source }, connected ? 1 : 0)
    this.#tell()
  }

  /** Health, the ready gauge and systemd's line. */
  #tell(): void {
    const { health, metrics, notifier, settings } = this.#options
    const lost = [...this.#lost].map(([source, reason]) => `${source}: ${reason}`).join('; ')
    health.report('source', lost || null, settings.sourceGrace)
    const unlisted = (['kubernetes', 'etcd'] as const).filter(source => !this.#listed.has(source))
    health.report('sync', unlisted.length === 0 ? null : `no complete list yet of ${unlisted.join(' and ')}`)
    metrics.ready.set(health.answer('readiness').healthy ? 1 : 0)
    const state = this.#leading ? (this.#complete ? 'writing' : 'beginning to write') : 'standing by'
    notifier.status(lost || state)
  }
}
