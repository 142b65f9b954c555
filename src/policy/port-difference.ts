import type { PortRange } from '../model/values.ts'

/** Every port there is. */
export const ALL_PORTS: readonly PortRange[] = [{ first: 0, last: 65535 }]

/** The ports of `ranges` that are in none of `without`, each range cut where needed. */
export function subtractPorts(ranges: readonly PortRange[], without: readonly PortRange[]): PortRange[] {
  return without.reduce<PortRange[]>((left, hole) => left.flatMap(range => cut(range, hole)), [...ranges])
}

function cut(range: PortRange, hole: PortRange): PortRange[] {
  if (hole.last < range.first || hole.first > range.last) return [range]
  const pieces: PortRange[] = []
  if (range.first < hole.first) pieces.push({ first: range.first, last: hole.first - 1 })
  if (range.last > hole.last) pieces.push({ first: hole.last + 1, last: range.last })
  return pieces
}
