import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { eventLoopLag } from './event-loop-lag.ts'
import { METRIC_PREFIX, METRICS, type MetricSpec } from './metric-table.ts'

type MetricOf<Spec extends MetricSpec> = Spec['type'] extends 'counter'
  ? Counter
  : Spec['type'] extends 'gauge'
    ? Gauge
    : Histogram

/** Every metric of a table by its name: `metrics.ipset_calls.inc()`. */
export type MetricsOf<Table extends MetricTable> = { readonly [Name in keyof Table]: MetricOf<Table[Name]> }
export type Metrics = MetricsOf<typeof METRICS>

/** What each daemon measures of itself is in each table. */
type MetricTable = Readonly<Record<string, MetricSpec>> & {
  readonly event_loop_stall_max_seconds: MetricSpec & { readonly type: 'gauge' }
}

export interface MetricsPage<Table extends MetricTable = typeof METRICS> {
  readonly metrics: MetricsOf<Table>
  readonly contentType: string
  /** The page that Prometheus scrapes. */
  text(): Promise<string>
  /** Ends what measures by itself. */
  close(): void
}

/** The agent's metrics, in a registry of its own for each agent, so that several live in one process. */
export function createMetrics(): MetricsPage {
  return createMetricsOf(METRICS)
}

/** The metrics of another daemon. */
export function createMetricsOf<const Table extends MetricTable>(table: Table): MetricsPage<Table> {
  const registry = new Registry()
  const made = Object.entries<MetricSpec>(table).map(([name, spec]) => [
    name,
    makeMetric(registry, name, spec),
  ])
  const metrics = Object.fromEntries(made) as MetricsOf<Table>
  const stall = metrics.event_loop_stall_max_seconds as Gauge
  processMetrics(registry)
  const lag = eventLoopLag()
  return {
    metrics,
    contentType: registry.contentType,
    text() {
      stall.set(lag.takeMax() / 1000)
      return registry.metrics()
    },
    close: () => lag.close(),
  }
}

function makeMetric(registry: Registry, name: string, spec: MetricSpec): Counter | Gauge | Histogram {
  const options = {
    name: `${METRIC_PREFIX}${name}`,
    help: spec.help,
    labelNames: spec.labels ?? [],
    registers: [registry],
  }
  if (spec.type === 'counter') return new Counter(options)
  if (spec.type === 'gauge') return new Gauge(options)
  return new Histogram({ ...options, buckets: [...(spec.buckets ?? [])] })
}

/**
 * The three of prom-client's default metrics that operators watch. The others sample the event loop
 * every 10 ms, which alone would cost an idle agent its CPU budget.
 */
function processMetrics(registry: Registry): void {
  const registers = [registry]
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the agent itself, without its helpers.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  new Gauge({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the agent itself, without its helpers.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.set((user + system) / 1e6)
    },
  })
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Unix time at which the agent started.',
    registers,
  }).set(performance.timeOrigin / 1000)
}
