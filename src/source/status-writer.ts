import { backOff, type Pace } from './pace.ts'
import { LeaseGone, type Store, type StoreWrite } from './store.ts'
import { unlessAborted } from './unless-aborted.ts'

export type EndpointStatus = 'up' | 'down' | 'error'

export interface StatusWriterOptions {
  readonly store: Store
  readonly host: string
  /** Read before each write, as is the next: they may change. ReportingIntervalSecs; 0 turns the host's status off, as in Felix. */
  readonly intervalSeconds?: number
  /** ReportingTTLSecs. */
  readonly ttlSeconds?: number
  /** EndpointReportingEnabled and EndpointReportingDelaySecs. */
  readonly endpoints?: { readonly enabled: boolean; readonly delaySeconds: number }
  readonly now?: () => Date
  readonly pace?: Pace
  /** Told of the first failure in a row (the reason) and of the recovery (null). */
  readonly onTrouble?: (reason: string | null) => void
}

const INTERVAL_SECONDS = 30
const TTL_SECONDS = 90
/** etcd refuses transactions of more than 128 operations unless told otherwise. */
const MOST_IN_ONE = 100

/**
 * Writes Calico's status keys of this host: its status with a lease and once without, and its endpoints' when enabled.
 * What is to be written is the present state, so an outage of any length costs no memory.
 */
export class StatusWriter {
  private readonly store: Store
  private readonly prefix: string
  private readonly options: StatusWriterOptions
  private readonly now: () => Date
  private readonly began: Date
  /** Every endpoint's present status, and those whose key in the store may say something else. */
  private readonly endpoints = new Map<string, EndpointStatus>()
  private readonly unwritten = new Set<string>()
  private foreignCleared = false
  private lease: { readonly id: string; readonly ttlSeconds: number } | null = null
  private first = true
  private inSync = false
  private wake: () => void = () => undefined

  constructor(options: StatusWriterOptions) {
    this.options = options
    this.store = options.store
    this.prefix = `/calico/felix/v1/host/${options.host}/`
    this.now = options.now ?? (() => new Date())
    this.began = this.now()
  }

  /** Nothing is reported before the agent is in sync, as in Felix. */
  setInSync(): void {
    if (this.inSync) return
    this.inSync = true
    this.wake()
  }

  /** The interval or the time to live is another one now. */
  paceChanged(): void {
    this.wake()
  }

  /** `id` as `workload/ORCHESTRATOR/WORKLOAD/endpoint/ENDPOINT` or `endpoint/ENDPOINT`; null: the endpoint is gone. */
  setEndpoint(id: string, status: EndpointStatus | null): void {
    if (!this.options.endpoints?.enabled || (this.endpoints.get(id) ?? null) === status) return
    if (status === null) this.endpoints.delete(id)
    else this.endpoints.set(id, status)
    this.unwritten.add(id)
    this.wake()
  }

  /** Writes until `signal` aborts. The keys stay then: the lease ends the status of a host that does not come back. */
  async run(signal: AbortSignal): Promise<void> {
    const { endpoints, pace = backOff, onTrouble } = this.options
    let written = Number.NEGATIVE_INFINITY
    let failures = 0
    while (!signal.aborted) {
      const { intervalSeconds = INTERVAL_SECONDS } = this.options
      const interval = intervalSeconds > 0 ? intervalSeconds * 1000 : null
      try {
        if (this.inSync && interval !== null && pace.now() >= written + interval) {
          await unlessAborted(this.writeHost(), signal)
          written = pace.now()
        }
        if (this.inSync && endpoints?.enabled) await unlessAborted(this.writeEndpoints(signal), signal)
        if (failures > 0) onTrouble?.(null)
        failures = 0
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        if (failures === 1) onTrouble?.((error as Error).message)
        await pace.wait(failures, signal)
        continue
      }
      const rest = interval === null || !this.inSync ? null : Math.max(0, written + interval - pace.now())
      if (await this.sleep(rest, signal)) await this.delay(endpoints?.delaySeconds ?? 0, signal)
    }
  }

  /** Resolves with true when something is to be written before the time is up. */
  private sleep(ms: number | null, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted || (this.inSync && this.unwritten.size > 0)) return Promise.resolve(true)
    return new Promise(resolve => {
      const end = (woken: boolean) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', stop)
        this.wake = () => undefined
        resolve(woken)
      }
      const stop = () => end(false)
      const timer = ms === null ? undefined : setTimeout(() => end(false), ms)
      signal.addEventListener('abort', stop)
      this.wake = () => end(true)
    })
  }

  /** Changes of endpoints come in bursts; those of a moment go together. */
  private delay(seconds: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, seconds * 1000)
      signal.addEventListener('abort', end)
    })
  }

  private async writeHost(): Promise<void> {
    const { ttlSeconds = TTL_SECONDS } = this.options
    const now = this.now()
    const value = JSON.stringify({
      time: now.toISOString().replace(/\.\d+Z$/, 'Z'),
      uptime: (now.getTime() - this.began.getTime()) / 1000,
      first_update: this.first,
    })
    try {
      if (this.lease?.ttlSeconds === ttlSeconds) await this.store.keepLease(this.lease.id)
      else this.lease = { id: await this.store.grantLease(ttlSeconds), ttlSeconds }
      const puts = [
        { key: `${this.prefix}status`, value, lease: this.lease.id },
        { key: `${this.prefix}last_reported_status`, value },
      ]
      await this.store.commit({ puts })
    } catch (error) {
      // A wiped or long unreachable store has forgotten the lease; the next try makes another.
      if (error instanceof LeaseGone) this.lease = null
      throw error
    }
    this.first = false
  }

  private async writeEndpoints(signal: AbortSignal): Promise<void> {
    if (!this.foreignCleared) {
      // What an agent of before left behind of this host, without the right to read it.
      await this.store.commit({ deletePrefixes: [`${this.prefix}workload/`, `${this.prefix}endpoint/`] })
      this.foreignCleared = true
      for (const id of this.endpoints.keys()) this.unwritten.add(id)
    }
    while (this.unwritten.size > 0 && !signal.aborted) {
      const batch = [...this.unwritten].slice(0, MOST_IN_ONE)
      const stated = batch.map(id => [id, this.endpoints.get(id) ?? null] as const)
      await this.store.commit(this.endpointWrite(stated))
      for (const [id, status] of stated)
        if ((this.endpoints.get(id) ?? null) === status) this.unwritten.delete(id)
    }
  }

  private endpointWrite(stated: readonly (readonly [string, EndpointStatus | null])[]): StoreWrite {
    const puts = stated.flatMap(([id, status]) =>
      status === null ? [] : [{ key: this.prefix + id, value: JSON.stringify({ status }) }],
    )
    const deletes = stated.flatMap(([id, status]) => (status === null ? [this.prefix + id] : []))
    return { puts, deletes }
  }
}
