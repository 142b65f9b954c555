const COLON = 58
const DOT = 46
const ZERO = 48
const NINE = 57

/**
 * The dotted quad at text[start, end) as a number 0..2^32-1, or -1. Exactly four decimal octets: a leading
 * zero could mean octal to another reader, so it is refused.
 */
export function parseQuad(text: string, start: number, end: number): number {
  let value = 0
  let octet = -1
  let dots = 0
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === DOT) {
      if (octet < 0 || ++dots > 3) return -1
      value = value * 256 + octet
      octet = -1
    } else if (code >= ZERO && code <= NINE) {
      if (octet === 0) return -1
      octet = octet < 0 ? code - ZERO : octet * 10 + (code - ZERO)
      if (octet > 255) return -1
    } else return -1
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : -1
}

/** A number 0..2^32-1 as a dotted quad. */
export function formatQuad(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO
  const letter = code | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : -1
}

/**
 * The IPv6 text at text[start, end) as eight 16-bit numbers, or null. RFC 4291 forms: `::` stands for at
 * least one group, the last two groups may be a dotted quad; no zone, no brackets.
 */
export function parseGroups(text: string, start: number, end: number): number[] | null {
  const groups: number[] = []
  let gap = -1
  let at = start
  if (text.charCodeAt(at) === COLON) {
    if (at + 1 >= end || text.charCodeAt(at + 1) !== COLON) return null
    gap = 0
    at += 2
  } else if (at >= end) return null
  while (at < end) {
    if (groups.length === 8) return null
    let group = 0
    let next = at
    for (; next < end; next++) {
      const digit = hexDigit(text.charCodeAt(next))
      if (digit < 0) break
      if (next - at === 4) return null
      group = group * 16 + digit
    }
    if (next === at) return null
    if (next < end && text.charCodeAt(next) === DOT) {
      const quad = parseQuad(text, at, end)
      if (quad < 0 || groups.length > 6) return null
      groups.push(quad >>> 16, quad & 0xffff)
      break
    }
    groups.push(group)
    if (next === end) break
    if (text.charCodeAt(next) !== COLON || ++next === end) return null
    if (text.charCodeAt(next) === COLON) {
      if (gap >= 0) return null
      gap = groups.length
      next++
    }
    at = next
  }
  if (gap < 0) return groups.length === 8 ? groups : null
  if (groups.length > 7) return null
  groups.splice(gap, 0, ...new Array<number>(8 - groups.length).fill(0))
  return groups
}

/**
 * Eight 16-bit numbers as glibc's inet_ntop prints them, which is what ip6tables-save and ipset print: the
 * first longest run of two or more zero groups becomes `::`, and `::1.2.3.4` and `::ffff:1.2.3.4` are mixed.
 */
export function formatGroups(groups: readonly number[]): string {
  let base = -1
  let length = 1
  for (let at = 0; at < 8; at++) {
    let run = at
    while (run < 8 && groups[run] === 0) run++
    if (run - at > length) {
      base = at
      length = run - at
    }
    if (run > at) at = run - 1
  }
  if (base === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff))) {
    const quad = formatQuad(groups[6]! * 65536 + groups[7]!)
    return length === 6 ? `::${quad}` : `::ffff:${quad}`
  }
  const hex = groups.map(group => group.toString(16))
  if (base < 0) return hex.join(':')
  return `${hex.slice(0, base).join(':')}::${hex.slice(base + length).join(':')}`
}
