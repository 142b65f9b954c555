/** A coordination.k8s.io/v1 Lease, as far as it is read and written. */
export interface LeaseObject {
  readonly apiVersion?: string
  readonly kind?: string
  /** With its `resourceVersion`, so that of two writers only one comes through. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly spec?: LeaseSpec
}

export interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

/** When we first saw a lease as it is, by our own clock. Nobody's clock is compared with anybody else's. */
export interface Observation {
  readonly spec: string
  readonly since: number
}

export type LeaseStep = 'create' | 'renew' | 'take' | 'wait'

/** What a lease that holds for no known time is taken to hold for. */
const LONG_ENOUGH_S = 60

/** The observation after a look at `lease` at `now`. */
export function observe(
  before: Observation | null,
  lease: LeaseObject | null,
  now: number,
): Observation | null {
  if (lease === null) return null
  const spec = JSON.stringify(lease.spec ?? {})
  return before?.spec === spec ? before : { spec, since: now }
}

/** What `self` may do: a lease of somebody else is over when it has not changed for its whole duration while we looked. */
export function leaseStep(
  lease: LeaseObject | null,
  observation: Observation | null,
  self: string,
  now: number,
): LeaseStep {
  if (lease === null) return 'create'
  const { holderIdentity = '', leaseDurationSeconds = LONG_ENOUGH_S } = lease.spec ?? {}
  if (holderIdentity === self) return 'renew'
  if (holderIdentity === '') return 'take'
  if (observation === null) return 'wait'
  return now - observation.since >= leaseDurationSeconds * 1000 ? 'take' : 'wait'
}

/** The lease as `self` writes it to hold it. */
export function claimedLease(
  lease: LeaseObject | null,
  self: { readonly namespace: string; readonly name: string; readonly identity: string },
  step: Exclude<LeaseStep, 'wait'>,
  at: Date,
  durationMs: number,
): LeaseObject {
  const { namespace, name, identity } = self
  const before = lease?.spec ?? {}
  const now = microTime(at)
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: lease?.metadata ?? { namespace, name },
    spec: {
      ...before,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(durationMs / 1000),
      acquireTime: step === 'renew' ? (before.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: (before.leaseTransitions ?? 0) + (step === 'take' ? 1 : 0),
    },
  }
}

/** The lease as its holder leaves it: free at once. */
export function releasedLease(lease: LeaseObject, at: Date): LeaseObject {
  return {
    ...lease,
    spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(at) },
  }
}

/** Go reads six digits there, not three. */
function microTime(at: Date): string {
  return at.toISOString().replace('Z', '000Z')
}
