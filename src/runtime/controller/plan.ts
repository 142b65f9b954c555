import type { KeyChange } from '../../source/event.ts'
import { areNamespaceLabels, isKubernetesEndpoint, isNewlyAttached, mergeEndpoint } from './endpoint-merge.ts'
import { ABSENT, type HeldKey } from './held-tree.ts'
import { isEndpointKey, type Unit } from './unit.ts'

/** What is to be written, and what it was planned on: by then the key may have changed, and known to have. */
export interface PlannedChange extends KeyChange {
  readonly modRevision: bigint
}

/** All that is to be written of one unit, for one transaction. */
export interface UnitChange {
  readonly unit: Unit
  readonly changes: readonly PlannedChange[]
  /** Endpoints that the CNI plugin has just attached and whose pod Kubernetes has not told of; it soon will. */
  readonly expected: readonly string[]
  /** Nothing else happens than that what the plugin has just attached is taken over. */
  readonly takesOver: boolean
}

/**
 * What makes a unit as it is wanted. Keys that look like the controller's and are not wanted are removed only when they are
 * its own; what others put there by hand stays. `overdue`: whether a pod that was `expected` has not come in time.
 */
export function planUnit(
  unit: Unit,
  wanted: ReadonlyMap<string, string>,
  held: ReadonlyMap<string, HeldKey>,
  overdue: (key: string, held: HeldKey) => boolean = () => false,
): UnitChange {
  const changes: PlannedChange[] = []
  const expected: string[] = []
  let takenOver = 0
  for (const [key, text] of wanted) {
    const there = held.get(key)?.value ?? null
    if (there === text) continue
    const value = isEndpointKey(key) ? mergeEndpoint(text, there) : text
    if (value === there) continue
    changes.push({ key, value, modRevision: held.get(key)?.modRevision ?? ABSENT })
    if (there !== null && isEndpointKey(key) && isNewlyAttached(there)) takenOver += 1
  }
  for (const [key, there] of held) {
    if (wanted.has(key)) continue
    const newly = isEndpointKey(key) && isNewlyAttached(there.value)
    if (newly && !overdue(key, there)) expected.push(key)
    else if (isOwn(unit, key, wanted, held))
      changes.push({ key, value: null, modRevision: there.modRevision })
  }
  return { unit, changes, expected, takesOver: takenOver === changes.length }
}

/** Whether a key of the store that is not wanted was written by the controller (or for it, by the CNI plugin). */
function isOwn(
  unit: Unit,
  key: string,
  wanted: ReadonlyMap<string, string>,
  held: ReadonlyMap<string, HeldKey>,
): boolean {
  // The two tiers are the controller's with all that is in them.
  if (!unit.startsWith('pod ')) return true
  if (isEndpointKey(key)) return isKubernetesEndpoint(held.get(key)!.value)
  const profile = key.slice(0, key.lastIndexOf('/') + 1)
  for (const other of wanted.keys()) if (other.startsWith(profile)) return true
  const labels = held.get(`${profile}labels`)
  const namespace = unit.slice('pod '.length, unit.indexOf('/'))
  return labels !== undefined && areNamespaceLabels(labels.value, namespace)
}
