/** One metric of the catalogue. Names echo Felix's where it has one, with `podfence_` for `felix_`. */
export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels?: readonly string[]
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly buckets?: readonly number[]
}

/** From a chain swapped in a millisecond to a cold start of tens of seconds. */
const APPLY = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30]
const COMPUTE = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]

export const METRICS = {
  build_info: {
    type: 'gauge',
    help: 'Always 1; the labels name the version and the backend.',
    labels: ['version', 'backend'],
  },
  ready: { type: 'gauge', help: '1 while the agent is ready.' },
  resync_state: {
    type: 'gauge',
    help: '1 waiting for the store, 2 waiting for its Ready key, 3 in sync.',
  },
  resyncs_started: { type: 'counter', help: 'Snapshots read from the source.' },
  source_connected: { type: 'gauge', help: '1 while the source has its store.' },
  active_local_endpoints: { type: 'gauge', help: 'Workload endpoints of this node.' },
  active_local_policies: { type: 'gauge', help: 'Rule lists of policies and profiles in use on this node.' },
  active_local_selectors: { type: 'gauge', help: 'Tags and selectors in use on this node.' },
  closed_endpoints: { type: 'gauge', help: 'Workload endpoints of this node that get no traffic.' },
  cluster_num_workload_endpoints: { type: 'gauge', help: 'Workload endpoints of the cluster.' },
  cluster_num_tiers: { type: 'gauge', help: 'Tiers with metadata.' },
  cluster_num_policies: { type: 'gauge', help: 'Policies of the cluster.' },
  cluster_num_profiles: { type: 'gauge', help: 'Profiles with rules.' },
  rejections: { type: 'gauge', help: 'Keys of the store whose value is refused now.' },
  rejections_total: { type: 'counter', help: 'Values of the store that were refused.' },
  incomplete_sets: { type: 'gauge', help: 'Sets that may lack members.' },
  set_members: { type: 'gauge', help: 'Members of the sets in use on this node.' },
  calc_graph_update_time_seconds: {
    type: 'histogram',
    help: 'Time to compute one batch of changes.',
    buckets: COMPUTE,
  },
  calc_graph_updates_processed: {
    type: 'counter',
    help: 'Changes taken from the source, in snapshots and after them.',
    labels: ['kind'],
  },
  calc_graph_output_events: { type: 'counter', help: 'Endpoints, rule lists and sets that changed.' },
  int_dataplane_apply_time_seconds: {
    type: 'histogram',
    help: 'Time of one apply to the kernel.',
    buckets: APPLY,
  },
  int_dataplane_failures: { type: 'counter', help: 'Applies that failed and are tried again.' },
  int_dataplane_initial_resync_time_seconds: {
    type: 'gauge',
    help: 'Start of the process to first enforced.',
  },
  policy_programming_duration_seconds: {
    type: 'histogram',
    help: 'A change seen to the same change enforced.',
    buckets: APPLY,
  },
  last_apply_timestamp_seconds: { type: 'gauge', help: 'Unix time of the last apply that succeeded.' },
  iptables_restore_calls: { type: 'counter', help: 'Transactions sent to iptables-restore.' },
  iptables_restore_errors: { type: 'counter', help: 'Transactions that iptables-restore refused.' },
  iptables_restore_respawns: { type: 'counter', help: 'Times that a restore process was started anew.' },
  iptables_lines_executed: { type: 'counter', help: 'Lines sent to iptables-restore.' },
  iptables_save_calls: { type: 'counter', help: 'Whole tables read back.' },
  iptables_chain_reads: { type: 'counter', help: 'Single chains read back.' },
  iptables_refused_chains: { type: 'counter', help: 'Chains that the kernel refused.' },
  iptables_chains: { type: 'gauge', help: 'Chains of ours in the kernel.' },
  iptables_rules: { type: 'gauge', help: 'Rules of ours in the kernel.' },
  iptables_spawn_per_update: { type: 'gauge', help: '1 while restore runs once per update, not for long.' },
  ipset_calls: { type: 'counter', help: 'Batches sent to ipset.' },
  ipset_errors: { type: 'counter', help: 'Lines that ipset refused.' },
  ipset_lines_executed: { type: 'counter', help: 'Lines sent to ipset.' },
  ipsets: { type: 'gauge', help: 'Sets of ours in the kernel.' },
  drift_repairs: {
    type: 'counter',
    help: 'Foreign changes of our chains, jumps and sets that were repaired.',
    labels: ['what'],
  },
  foreign_commits: { type: 'counter', help: 'Commits of other programs that touched what is ours.' },
  conntrack_scans: { type: 'counter', help: 'Scans of the open connections.' },
  cut_connections: { type: 'counter', help: 'Open connections that were cut because a change forbids them.' },
  log_errors: { type: 'counter', help: 'Lines logged as error or worse.' },
  event_loop_stall_max_seconds: {
    type: 'gauge',
    help: 'Longest stall of the event loop seen since the last scrape, looked at five times a second.',
  },
} as const satisfies Record<string, MetricSpec>

export type MetricName = keyof typeof METRICS
export const METRIC_PREFIX = 'podfence_'

/** A table of metrics for the README, in Markdown. */
export function metricsMarkdown(table: Readonly<Record<string, MetricSpec>> = METRICS): string {
  const rows = Object.entries(table).map(([name, { type, help, labels }]) => {
    const labelled = (labels ?? []).map(label => `\`${label}\``).join(', ')
    return `| \`${METRIC_PREFIX}${name}\` | ${type} | ${labelled} | ${help} |`
  })
  return ['| metric | type | labels | what it says |', '|---|---|---|---|', ...rows].join('\n')
}
