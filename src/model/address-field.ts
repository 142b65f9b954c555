import { canonicalAddress, parseSingleAddress } from './cidr.ts'
import { type JsonObject, listMember } from './json.ts'
import { Refusal, show } from './refusal.ts'
import type { Family } from './values.ts'

const NONE: readonly string[] = []

/** Addresses that no single workload or host can own, so that none can claim everybody's traffic with them. */
function isNobodys(address: string, family: Family): boolean {
  if (family === 6) return address === '::' || /^ff[0-9a-f]{2}:/.test(address)
  const first = Number.parseInt(address, 10)
  return first === 0 || (first >= 224 && first <= 239) || address === '255.255.255.255'
}

function decodeAddress(value: unknown, family: Family, place: string): string {
  const address = typeof value === 'string' ? parseSingleAddress(value, family) : null
  if (address === null)
    throw new Refusal(
      place,
      `${show(value)} is not one IPv${family} address`,
      family === 4
        ? 'Write a dotted quad, with /32 or without.'
        : 'Write an IPv6 address, with /128 or without.',
    )
  if (isNobodys(address, family))
    throw new Refusal(
      place,
      `${address} is not an address that one endpoint can own`,
      'Name a unicast address.',
    )
  return address
}

/** A list of single addresses of one family (`field` absent or null: none), canonical and without doubles. */
export function decodeAddresses(object: JsonObject, field: string, family: Family): readonly string[] {
  const list = listMember(object, field, field)
  if (list.length === 0) return NONE
  if (list.length === 1) return [decodeAddress(list[0], family, `${field}[0]`)]
  return [...new Set(list.map((value, at) => decodeAddress(value, family, `${field}[${at}]`)))]
}

/** Throws Refusal unless `value` is absent, null or an address of the family. */
export function checkGateway(value: unknown, family: Family, place: string): void {
  if (value === undefined || value === null) return
  const address = typeof value === 'string' ? canonicalAddress(value) : null
  if (address === null || address.includes(':') !== (family === 6))
    throw new Refusal(
      place,
      `${show(value)} is not an IPv${family} address`,
      'Name an address, or leave the field out.',
    )
}
