import type { PolicyEngine } from '../policy/engine.ts'
import { StatusWriter } from '../source/status-writer.ts'
import type { Store } from '../source/store.ts'
import type { Logger } from './log.ts'
import type { Settings } from './setting-table.ts'
import type { EndpointStatus } from './status.ts'

/** Keeps Calico's status keys of this host in etcd; nothing where the source is no etcd. */
export class StatusKeys {
  readonly #writer: StatusWriter | null
  readonly #end = new AbortController()
  readonly #endpoints: boolean
  readonly #settings: () => Pick<Settings, 'statusInterval' | 'statusTtl'>
  #pace = ''
  #told = new Set<string>()
  #running: Promise<void> = Promise.resolve()

  /** `live`: the interval and the time to live, which the store itself may change while the agent runs. */
  constructor(
    store: Store | null,
    settings: Settings,
    live: () => Pick<Settings, 'statusInterval' | 'statusTtl'>,
    log: Logger,
  ) {
    this.#settings = live
    this.#endpoints = settings.endpointReporting
    this.#writer =
      store === null
        ? null
        : new StatusWriter({
            store,
            host: settings.hostName,
            get intervalSeconds() {
              return live().statusInterval / 1000
            },
            get ttlSeconds() {
              return live().statusTtl / 1000
            },
            endpoints: {
              enabled: settings.endpointReporting,
              delaySeconds: settings.endpointReportingDelay / 1000,
            },
            onTrouble: reason => {
              if (reason === null) log.info({ component: 'status' }, 'status keys are written again')
              else log.warn({ component: 'status', reason }, 'status keys cannot be written')
            },
          })
  }

  start(): void {
    if (this.#writer !== null) this.#running = this.#writer.run(this.#end.signal)
  }

  /** What holds after an apply. */
  enforced(engine: PolicyEngine, states: () => readonly EndpointStatus[]): void {
    this.#writer?.setInSync()
    const { statusInterval, statusTtl } = this.#settings()
    const pace = `${statusInterval} ${statusTtl}`
    if (pace !== this.#pace) this.#writer?.paceChanged()
    this.#pace = pace
    if (this.#writer === null || !this.#endpoints) return
    const now = new Set(engine.endpoints().map(({ id }) => id))
    for (const id of this.#told) if (!now.has(id)) this.#writer.setEndpoint(writtenId(id), null)
    for (const { id, state } of states()) this.#writer.setEndpoint(writtenId(id), WORDS[state])
    this.#told = now
  }

  async stop(): Promise<void> {
    this.#end.abort()
    await this.#running
  }
}

const WORDS = { enforced: 'up', pending: 'down', closed: 'down', failed: 'error' } as const

/** `HOST/ORCHESTRATOR/WORKLOAD/ENDPOINT` as the status keys have it. */
function writtenId(id: string): string {
  const [, orchestrator, workload, endpoint] = id.split('/')
  return `workload/${orchestrator}/${workload}/endpoint/${endpoint}`
}
