import type { CallOptions, KubernetesApi } from './api.ts'
import { ApiError } from './api-error.ts'
import { apiPath, LEASES } from './api-path.ts'
import {
  claimedLease,
  type LeaseObject,
  leaseStep,
  type Observation,
  observe,
  releasedLease,
} from './lease-step.ts'

export interface LeaseOptions {
  readonly namespace: string
  readonly name: string
  /** Another one for each process, also of the same host. */
  readonly identity: string
  /** How long others wait after the last sign of the holder. */
  readonly durationMs?: number
  /** How long a holder believes its own last sign; the rest of the duration is for its work to stop. */
  readonly holdMs?: number
  /** Milliseconds that never run backwards. */
  readonly now?: () => number
}

const DURATION_MS = 15_000
const HOLD_MS = 10_000

/** A Lease that one of several processes holds, as the controllers of Kubernetes itself elect their leader. */
export class Lease {
  readonly options: Required<LeaseOptions>
  private readonly api: KubernetesApi
  private observation: Observation | null = null
  private until = Number.NEGATIVE_INFINITY
  private lastHolder: string | null = null

  constructor(api: KubernetesApi, options: LeaseOptions) {
    this.api = api
    const { durationMs = DURATION_MS, holdMs = HOLD_MS, now = () => performance.now() } = options
    this.options = { ...options, durationMs, holdMs, now }
  }

  /** Who held it when we looked last; null: nobody. */
  get holder(): string | null {
    return this.lastHolder
  }

  /** Whether it is ours at this moment, beyond doubt. */
  get held(): boolean {
    return this.options.now() < this.until
  }

  /** When we stop to hold it without a further sign, by the clock of the options. */
  get heldUntil(): number {
    return this.until
  }

  /** Looks, and claims or renews it if it is free or ours. Resolves with `held`; throws ApiError. */
  async attempt(call: CallOptions = {}): Promise<boolean> {
    // Who was faster may have been another attempt of our own, so a second look tells whose it is. Each attempt renews it itself:
    // the fence counts on a renewal that began after it.
    return (await this.once(call)) ?? (await this.once(call)) ?? false
  }

  /** Null when somebody was faster. */
  private async once(call: CallOptions): Promise<boolean | null> {
    const { identity, durationMs, holdMs, now } = this.options
    // Before the request: the others count from when they see what it wrote.
    const began = now()
    const lease = await this.read(call)
    this.observation = observe(this.observation, lease, now())
    this.lastHolder = lease?.spec?.holderIdentity || null
    const step = leaseStep(lease, this.observation, identity, now())
    if (step === 'wait') {
      this.until = Number.NEGATIVE_INFINITY
      return false
    }
    const claim = claimedLease(lease, this.options, step, new Date(), durationMs)
    if (!(await this.write(claim, lease === null, call))) return null
    this.lastHolder = identity
    this.until = began + holdMs
    return this.held
  }

  /** Gives it to whoever comes next, if it is ours. Throws ApiError. */
  async release(call: CallOptions = {}): Promise<void> {
    this.until = Number.NEGATIVE_INFINITY
    const lease = await this.read(call)
    if (lease?.spec?.holderIdentity !== this.options.identity) return
    await this.write(releasedLease(lease, new Date()), false, call)
    this.lastHolder = null
  }

  private async read(call: CallOptions): Promise<LeaseObject | null> {
    try {
      return (await this.api.get(apiPath(LEASES, this.options), call)) as LeaseObject
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null
      throw error
    }
  }

  /** False when somebody else was faster. */
  private async write(lease: LeaseObject, fresh: boolean, call: CallOptions): Promise<boolean> {
    const { namespace, name } = this.options
    try {
      if (fresh) await this.api.create(apiPath(LEASES, { namespace }), lease, call)
      else await this.api.update(apiPath(LEASES, { namespace, name }), lease, call)
      return true
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return false
      throw error
    }
  }
}
