import { PodfenceError } from '../errors.ts'
import { FAMILIES, type Family } from '../model/values.ts'
import type { Table } from '../render/kernel-delta.ts'
import { type Backend, toolName } from './backend.ts'
import type { KernelCounters } from './counters.ts'
import { readNativeParent, readNativeTable } from './native-read.ts'
import { PARENTS, PREFIX } from './own-names.ts'
import type { Processes } from './process.ts'

/** What is needed to read the kernel. */
export interface Reader {
  readonly processes: Processes
  readonly backend: Backend
  readonly counters: KernelCounters
}

/**
 * Chain name to its rules, each the words after `-A NAME `, as iptables-save prints them: our chains and
 * the parents that exist. Foreign chains are not kept.
 */
export type TablePicture = ReadonlyMap<string, readonly string[]>

/** Reads one table. Throws KERNEL_UNREADABLE when the tool cannot. */
export async function readTable(reader: Reader, family: Family, table: Table): Promise<TablePicture> {
  reader.counters.saves++
  const tool = toolName(reader.backend, family, 'save')
  const save = await reader.processes.run(tool, ['-t', table])
  if (save.missing) throw new PodfenceError('PREREQUISITE_MISSING', `there is no program ${tool}`)
  // nft says so with exit code 0, and prints nothing of a table in which any native rule is foreign to it.
  if (reader.backend === 'nft' && /^# Table .* is incompatible/m.test(save.stdout + save.stderr))
    return readNativeTable(reader, family, table)
  if (save.code !== 0) {
    const why = save.timedOut ? 'it did not end in time' : save.stderr.trim() || `it ended with ${save.code}`
    throw new PodfenceError('KERNEL_UNREADABLE', `${tool} -t ${table}: ${why}`)
  }
  const picture = parseTable(save.stdout, PARENTS[table])
  if (picture === null)
    throw new PodfenceError('KERNEL_UNREADABLE', `${tool} -t ${table}: its output is cut off`)
  return picture
}

/**
 * The chains of ours and the parents in the text of one table, which may be empty (a table that nobody
 * has used). Lines are kept as they stand and nothing else is looked into: foreign rules may hold
 * anything, and at 10 000 rules taking them apart would stall the agent. Null: the text is cut off.
 */
export function parseTable(text: string, parents: readonly string[]): TablePicture | null {
  const chains = new Map<string, string[]>()
  let open = false
  for (const line of text.split('\n')) {
    if (line.startsWith('-A ')) {
      const space = line.indexOf(' ', 3)
      const end = space < 0 ? line.length : space
      chains.get(line.slice(3, end))?.push(line.slice(end + 1))
    } else if (line.startsWith(':')) {
      const name = line.slice(1, line.indexOf(' '))
      if (name.startsWith(PREFIX) || parents.includes(name)) chains.set(name, [])
    } else if (line.startsWith('*')) open = true
    else if (line === 'COMMIT') open = false
  }
  return open ? null : chains
}

/** Reads one chain with `-S` (nft, where that costs no more than the chain). Null: there is none. */
export async function readChain(
  reader: Reader,
  family: Family,
  table: Table,
  chain: string,
): Promise<readonly string[] | null> {
  reader.counters.chainReads++
  const tool = toolName(reader.backend, family, '')
  const list = await reader.processes.run(tool, ['-w', '-t', table, '-S', chain])
  if (list.code === 0) {
    const head = `-A ${chain} `
    return list.stdout
      .split('\n')
      .filter(line => line.startsWith(head))
      .map(line => line.slice(head.length))
  }
  if (/No chain|does not exist/.test(list.stderr)) return null
  if (/incompatible/.test(list.stderr)) {
    // A foreign native rule: in a parent our jumps can still be told; a chain of ours counts as spoilt.
    return PARENTS[table].includes(chain) ? readNativeParent(reader, family, table, chain) : []
  }
  throw new PodfenceError('KERNEL_UNREADABLE', `${tool} -t ${table} -S ${chain}: ${list.stderr.trim()}`)
}

export type KernelTables = ReadonlyMap<Family, Readonly<Record<Table, TablePicture>>>

/** Reads everything that podfence may own, both families at once. */
export async function readTables(reader: Reader): Promise<KernelTables> {
  const read = FAMILIES.map(async family => {
    const raw = await readTable(reader, family, 'raw')
    const filter = await readTable(reader, family, 'filter')
    return [family, { raw, filter }] as const
  })
  return new Map(await Promise.all(read))
}
