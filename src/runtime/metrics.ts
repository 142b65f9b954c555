import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { eventLoopLag } from './event-loop-lag.ts'
import { METRIC_PREFIX, METRICS, type MetricName, type MetricSpec } from './metric-table.ts'

type MetricOf<Spec extends MetricSpec> = Spec['type'] extends 'counter'
  ? Counter
  : Spec['type'] extends 'gauge'
    ? Gauge
    : Histogram

/** Every metric of the catalogue by its name: `metrics.ipset_calls.inc()`. */
export type Metrics = { readonly [Name in MetricName]: MetricOf<(typeof METRICS)[Name]> }

export interface MetricsPage {
  readonly metrics: Metrics
  readonly contentType: string
  /** The page that Prometheus scrapes. */
  text(): Promise<string>
  /** Ends what measures by itself. */
  close(): void
}

/** A registry of its own for each agent, so that several live in one process. */
export function createMetrics(): MetricsPage {
  const registry = new Registry()
  const made = Object.entries<MetricSpec>(METRICS).map(([name, spec]) => [
    name,
    makeMetric(registry, name, spec),
  ])
  const metrics = Object.fromEntries(made) as Metrics
  processMetrics(registry)
  const lag = eventLoopLag()
  return {
    metrics,
    contentType: registry.contentType,
    text() {
      metrics.event_loop_stall_max_seconds.set(lag.takeMax() / 1000)
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
