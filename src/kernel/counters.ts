/** What the kernel part counts for the metrics. Plain numbers that only grow; the owner reads them. */
export interface KernelCounters {
  /** Transactions handed to iptables-restore (one per table and family). */
  restoreTransactions: number
  restoreErrors: number
  restoreLines: number
  /** How often a restore process had to be started anew. */
  restoreRespawns: number
  /** Reads of whole tables. */
  saves: number
  /** Reads of one chain. */
  chainReads: number
  ipsetLines: number
  ipsetBatches: number
  ipsetErrors: number
  /** Chains written that something else had changed or removed. */
  repairedChains: number
  repairedHooks: number
  repairedSets: number
  /** Chains that the kernel refused, counted once per refusal. */
  refusedChains: number
  conntrackScans: number
  cutConnections: number
  foreignCommits: number
}

export function kernelCounters(): KernelCounters {
  return {
    restoreTransactions: 0,
    restoreErrors: 0,
    restoreLines: 0,
    restoreRespawns: 0,
    saves: 0,
    chainReads: 0,
    ipsetLines: 0,
    ipsetBatches: 0,
    ipsetErrors: 0,
    repairedChains: 0,
    repairedHooks: 0,
    repairedSets: 0,
    refusedChains: 0,
    conntrackScans: 0,
    cutConnections: 0,
    foreignCommits: 0,
  }
}
