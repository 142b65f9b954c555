import type { KeyChange } from '../../source/event.ts'
import { areNamespaceLabels, isKubernetesEndpoint, isNewlyAttached, mergeEndpoint } from './endpoint-merge.ts'
import { isEndpointKey, type Unit } from './unit.ts'

/** A key as the store has it. */
export interface HeldKey {
  readonly value: string
  readonly modRevision: bigint
}

/** All that is to be written of one unit, for one transaction. */
export interface UnitChange {
  readonly unit: Unit
  readonly changes: readonly KeyChange[]
  /** Endpoints that the CNI plugin has just attached and whose pod Kubernetes has not told of; it soon will. */
  readonly expected: readonly string[]
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
  const changes: KeyChange[] = []
  const expected: string[] = []
  for (const [key, text] of wanted) {
    const there = held.get(key)?.value ?? null
    if (there === text) continue
    const value = isEndpointKey(key) ? mergeEndpoint(text, there) : text
    if (value !== there) changes.push({ key, value })
  }
  for (const [key, there] of held) {
    if (wanted.has(key)) continue
    const newly = isEndpointKey(key) && isNewlyAttached(there.value)
    if (newly && !overdue(key, there)) expected.push(key)
    else if (isOwn(unit, key, wanted, held)) changes.push({ key, value: null })
  }
  return { unit, changes, expected }
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
