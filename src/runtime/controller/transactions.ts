import { inNamespace } from '../../model/kubernetes/reserved-label.ts'
import type { KeyChange } from '../../source/event.ts'
import type { UnitChange } from './plan.ts'
import { isEndpointKey, type Unit } from './unit.ts'

/** etcd takes 128 operations and as many conditions in a transaction, and one condition is the fence's. */
const MOST_KEYS = 120
/** etcd takes requests of 1.5 MiB; this leaves room for what goes round the values. */
const MOST_BYTES = 1024 * 1024

/**
 * Packs units into transactions, a unit never into two of them. In an order that opens nothing in between: first goes what
 * is gone (its address may be another pod's already), then policies come, then pods, and last go policies. `alone`: the
 * units that share a transaction with no other, first in their turn.
 */
export function transactionsOf(
  units: readonly UnitChange[],
  alone: ReadonlySet<Unit> = new Set(),
): UnitChange[][] {
  const transactions: UnitChange[][] = []
  let keys = Number.POSITIVE_INFINITY
  let bytes = 0
  const place = (unit: UnitChange) => 2 * turnOf(unit) + (alone.has(unit.unit) ? 0 : 1)
  for (const unit of units.flatMap(piecesOf).toSorted((a, b) => place(a) - place(b))) {
    const size = bytesOf(unit)
    const single = alone.has(unit.unit)
    if (single || keys + unit.changes.length > MOST_KEYS || bytes + size > MOST_BYTES) {
      transactions.push([])
      keys = 0
      bytes = 0
    }
    transactions.at(-1)!.push(unit)
    keys += single ? Number.POSITIVE_INFINITY : unit.changes.length
    bytes += size
  }
  return transactions
}

/** What of the rest may still be written when `failed` was not: nothing that is to come after any of that. */
export function notAfter(failed: readonly UnitChange[], rest: readonly UnitChange[]): UnitChange[] {
  const turn = Math.min(...failed.map(turnOf))
  return rest.filter(unit => turnOf(unit) <= turn)
}

/**
 * The unit as etcd can take it: where it is too large, its long rule lists are left empty, so that they close what they were
 * to open; and where even that is too large, a policy closes its whole namespace. Null when nothing helps.
 */
export function fitting(unit: UnitChange): UnitChange | null {
  if (bytesOf(unit) <= MOST_BYTES) return unit
  const emptied = withValues(unit, (_, text) => withoutLongRules(text))
  if (bytesOf(emptied) <= MOST_BYTES) return emptied
  const namespace = POLICY_UNIT.exec(unit.unit)?.[1]
  if (namespace === undefined) return null
  const closed = withValues(unit, (key, text) => closingNamespace(key, text, namespace))
  return bytesOf(closed) <= MOST_BYTES ? closed : null
}

const LONG_TEXT = 16 * 1024
const POLICY_UNIT = /^policy ([a-z0-9-]+)\./

function withValues(unit: UnitChange, shortened: (key: string, text: string) => string): UnitChange {
  const changes = unit.changes.map(change => {
    const { key, value } = change
    const isLong = value !== null && value.length > LONG_TEXT && value.startsWith('{')
    return isLong ? { ...change, value: shortened(key, value) } : change
  })
  return { ...unit, changes }
}

function withoutLongRules(text: string): string {
  const object = JSON.parse(text) as Record<string, unknown>
  for (const list of ['inbound_rules', 'outbound_rules'])
    if (JSON.stringify(object[list] ?? null).length > LONG_TEXT) object[list] = []
  return JSON.stringify(object)
}

/**
 * A policy for all pods of the namespace, which allows none of them anything in the direction of its tier. Not a refused
 * value: an agent would keep the last good one before that, or else close every endpoint of the cluster.
 */
function closingNamespace(key: string, text: string, namespace: string): string {
  const object = JSON.parse(text) as Record<string, unknown>
  const list = key.includes('/tier/kubernetes-egress/') ? 'outbound_rules' : 'inbound_rules'
  return JSON.stringify({ ...object, selector: inNamespace(namespace), [list]: [] })
}

/**
 * The unit itself, but for one with more keys than a transaction takes: others may have put endpoints of its name under any
 * number of hosts. Those that go may go by and by.
 */
function piecesOf(unit: UnitChange): UnitChange[] {
  if (unit.changes.length === 0) return []
  if (unit.changes.length <= MOST_KEYS) return [unit]
  const goes = ({ key, value }: KeyChange) => value === null && isEndpointKey(key)
  const changes = unit.changes.toSorted((a, b) => Number(goes(a)) - Number(goes(b)))
  const pieces: UnitChange[] = []
  for (let from = 0; from < changes.length; from += MOST_KEYS)
    pieces.push({ ...unit, changes: changes.slice(from, from + MOST_KEYS) })
  return pieces
}

function turnOf({ unit, changes }: UnitChange): number {
  const goes = changes.every(({ value }) => value === null)
  if (unit.startsWith('tier ')) return 0
  if (unit.startsWith('pod ')) return goes ? 1 : 3
  return goes ? 4 : 2
}

function bytesOf({ changes }: UnitChange): number {
  let bytes = 0
  // A key stands in its condition as well.
  for (const { key, value } of changes) bytes += 2 * key.length + Buffer.byteLength(value ?? '') + 40
  return bytes
}
