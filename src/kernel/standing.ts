import { FAMILIES, type Family } from '../model/values.ts'
import type { Hook } from '../render/kernel-delta.ts'
import type { Backend } from './backend.ts'
import { ChainBook } from './chain-book.ts'
import { kernelCounters } from './counters.ts'
import { readLegacyTables } from './legacy-tables.ts'
import { PARENTS, TABLES } from './own-names.ts'
import { type Reader, readTable } from './picture.ts'
import type { Processes } from './process.ts'

/**
 * The families in which one backend holds all that keeps workloads closed: the jumps to our chains, and those that
 * decide behind them. Only looks, and loads no table; a backend that cannot be read holds nothing.
 */
export async function familiesStanding(
  processes: Processes,
  backend: Backend,
  hooks: readonly Hook[],
): Promise<readonly Family[]> {
  const reader = { processes, backend, counters: kernelCounters() }
  const answers = FAMILIES.map(async family => ((await stands(reader, family, hooks)) ? [family] : []))
  return (await Promise.all(answers)).flat()
}

async function stands(reader: Reader, family: Family, hooks: readonly Hook[]): Promise<boolean> {
  const loaded = reader.backend === 'legacy' ? await readLegacyTables(family) : TABLES
  for (const table of TABLES) {
    if (!loaded.includes(table)) return false
    const picture = await readTable(reader, family, table).catch(() => null)
    if (picture === null) return false
    const book = new ChainBook(table, hooks)
    book.observe(picture, false)
    if (book.standing() === null) return false
    for (const { parent, chain } of hooks)
      if (PARENTS[table].includes(parent) && !picture.get(parent)?.includes(`-j ${chain}`)) return false
  }
  return true
}
