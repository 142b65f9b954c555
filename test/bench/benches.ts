import type { Backend } from '../../src/kernel/backend.ts'
import { burst } from './burst.ts'
import { drift } from './drift.ts'
import { endpointAdded } from './endpoint-added.ts'
import { footprint } from './footprint.ts'
import type { Bench } from './ground.ts'
import { growth } from './growth.ts'
import { kubernetesWorld } from './kubernetes-world.ts'
import { lock } from './lock.ts'
import { membership } from './membership.ts'
import { packetCost } from './packet-cost.ts'
import { policyEdit } from './policy-edit.ts'
import { removal } from './removal.ts'
import { coldStart, warmRestart } from './start.ts'

export interface BenchEntry {
  /** The figures it gives. */
  readonly names: readonly string[]
  readonly bench: Bench
  /** Where it means something; both when absent. */
  readonly only?: Backend
}

/** In the order in which they can share a ground: restarts early, what takes the world apart last. */
export const BENCHES: readonly BenchEntry[] = [
  { names: ['B10'], bench: packetCost },
  { names: ['B9'], bench: growth },
  { names: ['B5'], bench: coldStart },
  { names: ['B6'], bench: warmRestart },
  { names: ['B7', 'B8'], bench: footprint },
  { names: ['B1', 'B8'], bench: policyEdit },
  { names: ['B2'], bench: membership },
  { names: ['B3'], bench: endpointAdded },
  { names: ['B4'], bench: burst },
  { names: ['B11'], bench: drift },
  { names: ['B12'], bench: lock, only: 'legacy' },
  { names: ['B13'], bench: removal },
  { names: ['B14'], bench: kubernetesWorld },
]
