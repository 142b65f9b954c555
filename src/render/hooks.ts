import type { Hook } from './kernel-delta.ts'

export const PREROUTING_CHAIN = 'podf-PREROUTING'
export const INPUT_CHAIN = 'podf-INPUT'
export const FORWARD_CHAIN = 'podf-FORWARD'
export const OUTPUT_CHAIN = 'podf-OUTPUT'

/** All that podfence puts into the kernel's own chains, in both families. */
export const HOOKS: readonly Hook[] = [
  { table: 'raw', parent: 'PREROUTING', chain: PREROUTING_CHAIN },
  { table: 'filter', parent: 'INPUT', chain: INPUT_CHAIN },
  { table: 'filter', parent: 'FORWARD', chain: FORWARD_CHAIN },
  { table: 'filter', parent: 'OUTPUT', chain: OUTPUT_CHAIN },
]
