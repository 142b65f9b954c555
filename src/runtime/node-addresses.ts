import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { canonicalAddress } from '../model/cidr.ts'

/**
 * This node's own addresses, canonical, as they are now. The kernel's lists count beside Node's, which leaves out what
 * has no carrier, such as a bridge that has lost its last port: what the node opened from there is still its own.
 */
export function nodeAddresses(): ReadonlySet<string> {
  const carried = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])
  return new Set([
    ...carried.flatMap(({ address }) => canonicalAddress(address) ?? []),
    ...localAddresses4(read('/proc/net/fib_trie')),
    ...localAddresses6(read('/proc/net/if_inet6')),
  ])
}

/** Of the text of /proc/net/fib_trie, the addresses that the kernel delivers to this host. */
export function localAddresses4(text: string): readonly string[] {
  const found: string[] = []
  let address: string | null = null
  for (const line of text.split('\n')) {
    const leaf = /^ *\|-- ([0-9.]+)$/.exec(line)
    if (leaf !== null) address = canonicalAddress(leaf[1]!)
    else if (address !== null && line.endsWith('/32 host LOCAL')) found.push(address)
  }
  return found
}

/** Of the text of /proc/net/if_inet6, the addresses of all interfaces. */
export function localAddresses6(text: string): readonly string[] {
  return text.split('\n').flatMap(line => {
    const groups = /^([0-9a-f]{32}) /.exec(line)?.[1]?.match(/..../g)
    return groups === undefined || groups === null ? [] : (canonicalAddress(groups.join(':')) ?? [])
  })
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
