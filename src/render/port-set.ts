import type { PortRange } from '../model/values.ts'

const HIGHEST = 65535

/** xt_multiport holds fifteen slots; a range takes two. */
export const SLOTS = 15

/** Ranges in order, overlapping and neighbouring ones joined. */
export function joinRanges(ranges: readonly PortRange[]): PortRange[] {
  const joined: { first: number; last: number }[] = []
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = joined.at(-1)
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last)
    else joined.push({ first, last })
  }
  return joined
}

/** All ports that are in none of `joined` (in order and joined). */
export function otherPorts(joined: readonly PortRange[]): PortRange[] {
  const others: PortRange[] = []
  let next = 0
  for (const { first, last } of joined) {
    if (first > next) others.push({ first: next, last: first - 1 })
    next = last + 1
  }
  if (next <= HIGHEST) others.push({ first: next, last: HIGHEST })
  return others
}

/** The ports that are in both of two joined lists. */
export function commonPorts(left: readonly PortRange[], right: readonly PortRange[]): PortRange[] {
  return otherPorts(joinRanges([...otherPorts(left), ...otherPorts(right)]))
}

/** Pieces that one multiport match each can hold. */
export function slotPieces(ranges: readonly PortRange[]): PortRange[][] {
  const pieces: PortRange[][] = []
  let free = 0
  for (const range of ranges) {
    const slots = range.first === range.last ? 1 : 2
    if (slots > free) {
      pieces.push([])
      free = SLOTS
    }
    pieces.at(-1)!.push(range)
    free -= slots
  }
  return pieces
}

/** What one side of a rule asks of its port. `some`: one of these; `none`: none of these. */
export type PortDemand =
  | { readonly kind: 'any' }
  | { readonly kind: 'never' }
  | { readonly kind: 'some'; readonly ranges: readonly PortRange[] }
  | { readonly kind: 'none'; readonly ranges: readonly PortRange[] }

/** More multiport matches than this in one rule become several rules over the other ports. */
const NEGATED_PIECES = 8

/**
 * A positive and a negated list as one demand. Two reasons to calculate here and not in the kernel: it is
 * cheaper per packet, and iptables-nft 1.8.9 turns `! --dport 0:65535`, which matches nothing, into a rule
 * that matches everything.
 */
export function portDemand(
  is: readonly PortRange[] | undefined,
  not: readonly PortRange[] | undefined,
): PortDemand {
  const excluded = joinRanges(not ?? [])
  const left = otherPorts(excluded)
  if (is !== undefined) return someOf(commonPorts(joinRanges(is), left))
  // iptables-nft prints `! --dport 0:5` as `--dport 6:65535`; so do we.
  if (left.length <= 1 || slotPieces(excluded).length > NEGATED_PIECES) return someOf(left)
  return { kind: 'none', ranges: excluded }
}

function someOf(ranges: readonly PortRange[]): PortDemand {
  const [first] = ranges
  if (first === undefined) return { kind: 'never' }
  if (first.first === 0 && first.last === HIGHEST) return { kind: 'any' }
  return { kind: 'some', ranges }
}
