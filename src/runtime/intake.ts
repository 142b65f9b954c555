import { ModelTree } from '../model/tree.ts'
import type { ModelChange, Rejection } from '../model/values.ts'
import type { PolicyEngine } from '../policy/engine.ts'
import type { SourceEvent } from '../source/event.ts'
import type { Clock } from './clock.ts'
import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface IntakeOptions {
  readonly engine: Pick<PolicyEngine, 'update'>
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: Metrics
}

/** Takes in what the source yields: decodes it and gives each change to whom it concerns. */
export class Intake {
  readonly tree = new ModelTree()
  /** The store's config keys (`NAME` or `HOST/NAME`). */
  readonly config = new Map<string, string>()
  /** How often `config` was written to, so that nothing else makes anybody read it again. */
  configChanges = 0
  readonly hostEndpoints = new Set<string>()
  readonly #options: IntakeOptions
  readonly #toldRejections = new WeakSet<Rejection>()

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  take(event: Exclude<SourceEvent, { kind: 'connection' }>): void {
    const { clock, metrics } = this.#options
    const began = clock.now()
    const changes =
      event.kind === 'snapshot' ? this.tree.snapshot(event.entries) : this.tree.change(event.changes)
    for (const change of changes) this.#update(change)
    this.#tellRejections()
    metrics.calc_graph_updates_processed.inc({ kind: event.kind }, changes.length)
    metrics.calc_graph_update_time_seconds.observe((clock.now() - began) / 1000)
  }

  /** Each refused value is told and counted once, however long it stays. */
  #tellRejections(): void {
    const { log, metrics } = this.#options
    for (const rejection of this.tree.rejections().values()) {
      if (this.#toldRejections.has(rejection)) continue
      this.#toldRejections.add(rejection)
      metrics.rejections_total.inc()
      const stands = this.tree.lastGoodStands(rejection.key)
      const effect = stands ? 'its last good value stands' : 'what it is about is closed'
      log.warn({ component: 'model', ...rejection }, `a value of the store is refused: ${effect}`)
    }
  }

  #update(change: ModelChange): void {
    if (change.kind === 'config') {
      this.configChanges++
      if (change.value === null) this.config.delete(change.id)
      else this.config.set(change.id, change.value)
    } else if (change.kind === 'host-endpoint') {
      if (change.value === null) this.hostEndpoints.delete(change.id)
      else this.hostEndpoints.add(change.id)
    } else this.#options.engine.update(change)
  }
}
