import type { Table } from '../render/kernel-delta.ts'

/** Everything of ours in the kernel begins so; nothing else may. It is how a restart and a cleanup know it. */
export const PREFIX = 'podf-'

/** The kernel's own chains that may carry a jump of ours. */
export const PARENTS: Readonly<Record<Table, readonly string[]>> = {
  raw: ['PREROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
}
export const TABLES: readonly Table[] = ['raw', 'filter']

/** Where a chain is. */
export interface ChainPlace {
  readonly family: 4 | 6
  readonly table: Table
  readonly chain: string
}
