import type { Family } from '../model/values.ts'
import type { Table } from '../render/kernel-delta.ts'
import { PARENTS, PREFIX } from './own-names.ts'
import { type Reader, readChain, type TablePicture } from './picture.ts'

/**
 * Reading a table in which someone's native nft rule makes iptables-save give up: `nft` names the chains,
 * and `-S` still reads each chain that has no such rule itself. Slow, so only then.
 */
export async function readNativeTable(reader: Reader, family: Family, table: Table): Promise<TablePicture> {
  const list = await reader.processes.run('nft', ['list', 'chains', nftFamily(family)])
  const chains = new Map<string, readonly string[]>()
  for (const name of chainsOf(list.stdout, `table ${nftFamily(family)} ${table} {`)) {
    if (!name.startsWith(PREFIX) && !PARENTS[table].includes(name)) continue
    const rules = await readChain(reader, family, table, name)
    if (rules !== null) chains.set(name, rules)
  }
  return chains
}

/** A parent's rules as far as they concern us: our plain jumps as iptables prints them, all others as nft does. */
export async function readNativeParent(
  reader: Reader,
  family: Family,
  table: Table,
  chain: string,
): Promise<readonly string[]> {
  const list = await reader.processes.run('nft', ['list', 'chain', nftFamily(family), table, chain])
  return list.stdout
    .split('\n')
    .filter(line => line.startsWith('\t\t') && !line.startsWith('\t\ttype '))
    .map(line => {
      const jump = /^\s*counter packets \d+ bytes \d+ jump (\S+)$/.exec(line)
      return jump === null ? line.trim() : `-j ${jump[1]}`
    })
}

function nftFamily(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6'
}

function chainsOf(text: string, heading: string): readonly string[] {
  const names: string[] = []
  let inside = false
  for (const line of text.split('\n')) {
    if (line.startsWith('table ')) inside = line === heading
    const chain = /^\tchain (\S+) \{/.exec(line)
    if (inside && chain?.[1] !== undefined) names.push(chain[1])
  }
  return names
}
