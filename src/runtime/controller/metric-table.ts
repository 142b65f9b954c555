import type { MetricSpec } from '../metric-table.ts'

/** From one transaction on a quick etcd to one that queues behind others. */
const WRITE = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 10]

/** The controller's metrics; where one is of the agent too, it means the same. */
export const CONTROLLER_METRICS = {
  build_info: { type: 'gauge', help: 'Always 1; the label names the version.', labels: ['version'] },
  ready: { type: 'gauge', help: '1 while the controller is ready.' },
  controller_leading: { type: 'gauge', help: '1 while this replica holds the lease.' },
  controller_source_connected: {
    type: 'gauge',
    help: '1 while the controller has it.',
    labels: ['source'],
  },
  controller_snapshots: { type: 'counter', help: 'Complete lists read.', labels: ['source'] },
  rejections: { type: 'gauge', help: 'Kubernetes objects with something wrong now.' },
  rejections_total: { type: 'counter', help: 'Times that something was wrong with a Kubernetes object.' },
  controller_transactions: { type: 'counter', help: 'Transactions written to etcd.' },
  controller_keys_written: { type: 'counter', help: 'Keys written to etcd, removals among them.' },
  controller_conflicts: { type: 'counter', help: 'Transactions given up because another one was faster.' },
  controller_repairs: {
    type: 'counter',
    help: 'Objects that others changed in etcd and that were put right.',
  },
  controller_write_time_seconds: { type: 'histogram', help: 'Time of one transaction.', buckets: WRITE },
  controller_last_complete_timestamp_seconds: {
    type: 'gauge',
    help: 'Unix time at which the tree was last as Kubernetes wants it.',
  },
  log_errors: { type: 'counter', help: 'Lines logged as error or worse.' },
  event_loop_stall_max_seconds: {
    type: 'gauge',
    help: 'Longest stall of the event loop seen since the last scrape, looked at five times a second.',
  },
} as const satisfies Record<string, MetricSpec>
