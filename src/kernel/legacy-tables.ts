import { readFile } from 'node:fs/promises'
import type { Family } from '../model/values.ts'

/** Names of the legacy tables that this network namespace has loaded; asking iptables-legacy would load more. */
export async function readLegacyTables(family: Family): Promise<readonly string[]> {
  try {
    const names = await readFile(`/proc/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`, 'utf8')
    return names.split('\n').filter(name => name !== '')
  } catch {
    // A kernel without them, or without the right to see them.
    return []
  }
}
