import type { Broken, EndpointRemains, WorkloadEndpoint } from '../model/values.ts'
import { isBroken } from './broken.ts'
import type { LabelPool, SharedLabels } from './label-pool.ts'

/**
 * What is kept of any workload endpoint of the cluster: enough to say to which sets it belongs, and no more,
 * since there may be a hundred thousand of them.
 */
export interface ClusterEndpoint {
  readonly id: string
  /** Both families; empty when `lost`. */
  readonly addresses: readonly string[]
  /** null: unknown. */
  readonly profiles: readonly string[] | null
  /** Its own labels; null: unknown. */
  readonly own: SharedLabels | null
  /** Why its addresses are not known; null: they are. */
  readonly lost: string | null
  /** Own and inherited labels, as far as they are certain. */
  labels: SharedLabels
  /** Why it might have further labels than `labels`; null: it has none. */
  doubt: string | null
}

/** An endpoint without inherited labels yet. It holds its labels twice in `pool`, as `own` and as `labels`. */
export function clusterEndpoint(
  id: string,
  value: WorkloadEndpoint | Broken<EndpointRemains>,
  pool: LabelPool,
): ClusterEndpoint {
  if (!isBroken(value)) {
    const { addresses4, addresses6 } = value
    const own = pool.hold(value.labels)
    return {
      id,
      addresses: addresses6.length === 0 ? addresses4 : [...addresses4, ...addresses6],
      profiles: value.profiles,
      own,
      lost: null,
      labels: pool.share(own),
      doubt: null,
    }
  }
  const { labels, profiles } = value.remains
  return {
    id,
    addresses: [],
    profiles: profiles ?? null,
    own: labels === undefined ? null : pool.hold(labels),
    lost: `endpoint ${id} cannot be read: ${value.broken.reason}`,
    labels: pool.hold(labels ?? new Map()),
    doubt: null,
  }
}

/** Whether `value` says of the endpoint what is known already. An unreadable value never does. */
export function isSame(
  endpoint: ClusterEndpoint,
  value: WorkloadEndpoint | Broken<EndpointRemains>,
): boolean {
  if (isBroken(value) || endpoint.lost !== null) return false
  const { addresses4, addresses6, profiles, labels } = value
  return (
    sameTexts(endpoint.addresses, [...addresses4, ...addresses6]) &&
    sameTexts(endpoint.profiles!, profiles) &&
    sameLabels(endpoint.own!.labels, labels)
  )
}

function sameTexts(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, at) => text === right[at])
}

function sameLabels(left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): boolean {
  return left.size === right.size && [...left].every(([key, value]) => right.get(key) === value)
}
