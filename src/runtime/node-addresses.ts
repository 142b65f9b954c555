import { networkInterfaces } from 'node:os'
import { canonicalAddress } from '../model/cidr.ts'

/** This node's own addresses, canonical, as they are now. */
export function nodeAddresses(): ReadonlySet<string> {
  const own = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])
  return new Set(own.flatMap(({ address }) => canonicalAddress(address) ?? []))
}
