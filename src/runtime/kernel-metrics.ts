import type { Counter } from 'prom-client'
import type { KernelDriver } from '../kernel/driver.ts'
import type { Enforcement } from './enforcement.ts'
import type { Metrics } from './metrics.ts'

/** Brings the metrics that others count up to date; called before each scrape, so that counting costs nothing between. */
export function reportState(metrics: Metrics, driver: KernelDriver, enforcement: Enforcement): void {
  const counts = enforcement.engine.counts()
  metrics.active_local_endpoints.set(counts.localEndpoints)
  metrics.active_local_policies.set(counts.activeLists)
  metrics.active_local_selectors.set(counts.activeSets)
  metrics.closed_endpoints.set(enforcement.endpoints().filter(({ closed }) => closed !== null).length)
  metrics.cluster_num_workload_endpoints.set(counts.clusterEndpoints)
  metrics.cluster_num_tiers.set(counts.tiers)
  metrics.cluster_num_policies.set(counts.policies)
  metrics.cluster_num_profiles.set(counts.profiles)
  metrics.incomplete_sets.set(counts.incompleteSets)
  metrics.set_members.set(counts.setMembers)
  metrics.rejections.set(enforcement.intake.tree.rejections().size)

  const { counters } = driver
  const kernel = driver.status()
  metrics.ipsets.set(kernel.sets)
  metrics.iptables_chains.set(kernel.chains)
  metrics.iptables_rules.set(kernel.rules)
  metrics.iptables_spawn_per_update.set(kernel.spawnPerUpdate ? 1 : 0)
  raise(metrics.iptables_restore_calls, counters.restoreTransactions)
  raise(metrics.iptables_restore_errors, counters.restoreErrors)
  raise(metrics.iptables_restore_respawns, counters.restoreRespawns)
  raise(metrics.iptables_chain_reads, counters.chainReads)
  raise(metrics.iptables_refused_chains, counters.refusedChains)
  raise(metrics.foreign_commits, counters.foreignCommits)
  raise(metrics.conntrack_scans, counters.conntrackScans)
  raise(metrics.iptables_lines_executed, counters.restoreLines)
  raise(metrics.iptables_save_calls, counters.saves)
  raise(metrics.ipset_calls, counters.ipsetBatches)
  raise(metrics.ipset_errors, counters.ipsetErrors)
  raise(metrics.ipset_lines_executed, counters.ipsetLines)
  raise(metrics.cut_connections, counters.cutConnections)
  metrics.drift_repairs.reset()
  metrics.drift_repairs.inc({ what: 'chain' }, counters.repairedChains)
  metrics.drift_repairs.inc({ what: 'jump' }, counters.repairedHooks)
  metrics.drift_repairs.inc({ what: 'set' }, counters.repairedSets)
}

/** A counter whose value is kept elsewhere. */
function raise(counter: Counter, value: number): void {
  counter.reset()
  counter.inc(value)
}
