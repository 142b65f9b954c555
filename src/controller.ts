import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { systemProcesses } from './kernel/process.ts'
import { KubernetesTranslation } from './model/kubernetes/translation.ts'
import { systemClock } from './runtime/clock.ts'
import { ControllerLife } from './runtime/controller/controller-life.ts'
import { Fence } from './runtime/controller/fence.ts'
import { CONTROLLER_METRICS } from './runtime/controller/metric-table.ts'
import { TreeWriter } from './runtime/controller/tree-writer.ts'
import { Doors } from './runtime/doors.ts'
import { etcdOptions } from './runtime/etcd-options.ts'
import { Health } from './runtime/health.ts'
import { healthRoutes, metricsRoutes } from './runtime/health-routes.ts'
import { listenHttp } from './runtime/http.ts'
import { kubernetesOptions } from './runtime/kubernetes-options.ts'
import { createLog, logOptions, standardOutput } from './runtime/log.ts'
import { createMetricsOf } from './runtime/metrics.ts'
import { Notifier } from './runtime/notify.ts'
import { ObjectProblems } from './runtime/object-problems.ts'
import { ProblemEvents } from './runtime/problem-events.ts'
import { resolveSettings, type SettingSources } from './runtime/settings.ts'
import { Closers, onShutdown } from './runtime/shutdown.ts'
import { TranslatedSource } from './runtime/translated-source.ts'
import { podfenceVersion } from './runtime/version.ts'
import { openEtcd } from './source/etcd-client.ts'
import { EtcdSource } from './source/etcd-source.ts'
import { openKubernetes } from './source/kubernetes/client.ts'
import { KubernetesSource } from './source/kubernetes/kubernetes-source.ts'
import { whileLeading } from './source/kubernetes/leadership.ts'
import { Lease } from './source/kubernetes/lease.ts'
import { warnOfPod } from './source/kubernetes/pod-event.ts'
import { backOff } from './source/pace.ts'

/** Shares of the lease's duration: how long a holder believes its last sign, and how often there is one. */
const HOLD = 2 / 3
const EVERY = 1 / 10

/**
 * The controller, put together:
 *
 *     Kubernetes ─ KubernetesSource ─> KubernetesTranslation ─> wanted ─┐
 *          │                                │                           ├─> plan ─> TreeWriter ─ transactions ─> etcd
 *          │       ProblemEvents <─ problems                            │               │ behind the Fence
 *          │                                         etcd ─ EtcdSource ─┴─> held        │
 *          └ Lease ─────────────────────────────────────────── whileLeading ────────────┘
 *
 * Every replica watches both sides; the one that holds the lease writes. Runs until SIGTERM or SIGINT; resolves with the
 * exit code. Throws CONFIG_INVALID before anything runs.
 */
export async function runController(sources: SettingSources): Promise<number> {
  const { settings } = resolveSettings(sources)
  const page = createMetricsOf(CONTROLLER_METRICS)
  const { metrics } = page
  const log = createLog(logOptions(settings, process.stdout, process.env), standardOutput(), level => {
    if (level >= 50) metrics.log_errors.inc()
  })
  const closers = new Closers()
  closers.add('metrics', () => page.close())
  const shutdown = onShutdown(process, {
    reload: () => log.info({ component: 'settings' }, 'settings are read at the start only'),
    force: signal => process.exit(signal === 'SIGINT' ? 130 : 143),
  })
  closers.add('signals', () => shutdown.dispose())
  const processes = systemProcesses()
  closers.add('processes', () => processes.stopAll())
  const notifier = new Notifier({
    env: process.env,
    run: (file, args) => processes.run(file, args, { timeoutMs: 5000 }),
    clock: systemClock,
  })
  const health = new Health(systemClock)
  const doors = new Doors('controller', log)
  closers.add('doors', () => doors.close())

  try {
    const access = await kubernetesOptions(settings, process.env)
    const api = openKubernetes(access)
    closers.add('kubernetes', () => api.close())
    // A write that times out closes its channel, which must not be the watch's.
    const [watched, written] = [openEtcd(await etcdOptions(settings)), openEtcd(await etcdOptions(settings))]
    for (const store of [watched, written]) closers.add('etcd', () => store.close())

    const lease = new Lease(api, {
      namespace: settings.leaseNamespace ?? access.namespace ?? 'kube-system',
      name: settings.leaseName,
      identity: `${hostname()}_${randomUUID()}`,
      durationMs: settings.leaseDuration,
      holdMs: settings.leaseDuration * HOLD,
    })
    const revisions = new Map<string, bigint>()
    const tree = new EtcdSource(watched, { revisions })
    const life: ControllerLife = new ControllerLife({
      writer: () => writer,
      settings,
      log,
      metrics,
      health,
      notifier,
    })
    const writer = new TreeWriter({
      store: written,
      fence: new Fence(written, lease),
      revisions,
      clock: systemClock,
      pace: backOff,
      relist: reason => tree.relist(reason),
      hears: life.written,
    })
    const events = new ProblemEvents({
      host: null,
      write: warning => warnOfPod(api, warning, new Date()),
      tells: () => lease.held,
      clock: systemClock,
      log,
    })
    closers.add('events', () => events.stop())
    const told = new ObjectProblems(log, metrics)
    const translation = new KubernetesTranslation({ ...settings, profiles: 'per-pod' })
    const objects = new TranslatedSource(
      events.listening(new KubernetesSource(api)),
      translation,
      problems => {
        metrics.rejections.set(problems.size)
        told.tell(problems.values())
        events.problems(problems)
      },
    )

    const { healthAddress, metricsAddress } = settings
    if (healthAddress !== null)
      await doors.open('health', () => listenHttp('health', healthAddress, healthRoutes(health)))
    if (metricsAddress !== null)
      await doors.open('metrics', () => listenHttp('metrics', metricsAddress, metricsRoutes(page)))
    metrics.build_info.set({ version: podfenceVersion() }, 1)
    const running = [
      objects.run(event => life.kubernetes(event), shutdown.signal),
      tree.run(event => life.etcd(event), shutdown.signal),
      whileLeading(lease, signal => writer.run(signal), shutdown.signal, {
        everyMs: settings.leaseDuration * EVERY,
        changed(state) {
          life.leadership(state)
          events.tell()
        },
        failed: error => life.leaseTrouble(error),
      }),
    ]
    const { name, namespace, identity } = lease.options
    log.info({ component: 'controller', lease: `${namespace}/${name}`, identity }, 'started')
    await notifier.ready()
    await Promise.all(running)
    await notifier.stopping()
    log.info({ component: 'controller', reason: shutdown.signal.reason }, 'stopping')
  } finally {
    shutdown.request('ended')
    await closers.closeAll((component, err) => log.error({ err, component }, 'could not be closed'))
  }
  return 0
}
