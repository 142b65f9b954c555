import { formatGroups, formatQuad, parseGroups, parseQuad } from './ipv6-text.ts'
import type { Family } from './values.ts'

export interface Address {
  readonly family: Family
  readonly value: bigint
}

export interface Cidr {
  readonly family: Family
  /** First address as a number (IPv4 and IPv6 alike), host bits zero. */
  readonly base: bigint
  readonly length: number
}

/** The number of bits of an address of `family`: 32 or 128. */
export function addressBits(family: Family): number {
  return family === 4 ? 32 : 128
}

function groupsToValue(groups: readonly number[]): bigint {
  let value = 0n
  for (let at = 0; at < 8; at += 2) value = (value << 32n) | BigInt(groups[at]! * 65536 + groups[at + 1]!)
  return value
}

function parseRange(text: string, end: number): Address | null {
  const quad = parseQuad(text, 0, end)
  if (quad >= 0) return { family: 4, value: BigInt(quad) }
  const groups = parseGroups(text, 0, end)
  return groups === null ? null : { family: 6, value: groupsToValue(groups) }
}

/** Strict IPv4 or IPv6 text to a number, or null. No octal, short form, zone, prefix length or blank. */
export function parseAddress(text: string): Address | null {
  return parseRange(text, text.length)
}

/** The one text that iptables-save and ipset print for this address, or null when it is none. */
export function canonicalAddress(text: string): string | null {
  return canonicalRange(text, text.length)
}

function canonicalRange(text: string, end: number): string | null {
  // A dotted quad without leading zeros is its own canonical text.
  if (parseQuad(text, 0, end) >= 0) return end === text.length ? text : text.slice(0, end)
  const groups = parseGroups(text, 0, end)
  return groups === null ? null : formatGroups(groups)
}

/** A family's number as canonical text. `value` must lie within the family. */
export function formatAddress(value: bigint, family: Family): string {
  if (family === 4) return formatQuad(Number(value))
  const groups: number[] = []
  for (let shift = 96n; shift >= 0n; shift -= 32n) {
    const word = Number((value >> shift) & 0xffffffffn)
    groups.push(word >>> 16, word & 0xffff)
  }
  return formatGroups(groups)
}

/** `ADDRESS`, `ADDRESS/32` or `ADDRESS/128` as canonical address text, or null: one address and no network. */
export function parseSingleAddress(text: string, family: Family): string | null {
  const suffix = family === 4 ? '/32' : '/128'
  const address = canonicalRange(text, text.endsWith(suffix) ? text.length - suffix.length : text.length)
  return address !== null && address.includes(':') === (family === 6) ? address : null
}

function mask(value: bigint, length: number, bits: number): bigint {
  const shift = BigInt(bits - length)
  return (value >> shift) << shift
}

/** `ADDRESS` or `ADDRESS/LENGTH` to a network with its host bits masked, or null. A bare address is /32 or /128. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/')
  const address = parseRange(text, slash < 0 ? text.length : slash)
  if (address === null) return null
  const { family, value } = address
  const bits = addressBits(family)
  if (slash < 0) return { family, base: value, length: bits }
  const digits = text.slice(slash + 1)
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(digits)) return null
  const length = Number(digits)
  return length > bits ? null : { family, base: mask(value, length, bits), length }
}

/** Always with a prefix length, as iptables-save prints networks. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.base, cidr.family)}/${cidr.length}`
}

/** Whether two numbers of one family agree in their first `length` bits. */
function samePrefix(family: Family, left: bigint, right: bigint, length: number): boolean {
  if (length === 0) return true
  // JavaScript's own numbers hold IPv4 without allocating.
  if (family === 4) return (Number(left) ^ Number(right)) >>> (32 - length) === 0
  return (left ^ right) >> BigInt(128 - length) === 0n
}

export function cidrContains(cidr: Cidr, address: Address): boolean {
  return cidr.family === address.family && samePrefix(cidr.family, cidr.base, address.value, cidr.length)
}

/** Whether any address is in both. */
export function cidrOverlap(left: Cidr, right: Cidr): boolean {
  const length = Math.min(left.length, right.length)
  return left.family === right.family && samePrefix(left.family, left.base, right.base, length)
}

/** The addresses of `whole` that are not in `part`, as the fewest networks, in address order. */
export function subtractCidr(whole: Cidr, part: Cidr): Cidr[] {
  if (!cidrOverlap(whole, part)) return [whole]
  const { family } = whole
  const bits = addressBits(family)
  const before: Cidr[] = []
  const after: Cidr[] = []
  // Each step halves what still holds `part`; the other half is kept.
  for (let length = whole.length + 1; length <= part.length; length++) {
    const bit = 1n << BigInt(bits - length)
    const half = mask(part.base, length, bits)
    if ((half & bit) === 0n) after.push({ family, base: half | bit, length })
    else before.push({ family, base: half ^ bit, length })
  }
  return [...before, ...after.reverse()]
}
