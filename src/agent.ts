import { chooseBackend } from './kernel/backend.ts'
import { cleanUp } from './kernel/cleanup.ts'
import { ConnectionCutter } from './kernel/cut.ts'
import { KernelDriver } from './kernel/driver.ts'
import { KernelMonitor } from './kernel/monitor.ts'
import { systemProcesses } from './kernel/process.ts'
import { FAMILIES } from './model/values.ts'
import { FORWARD_CHAIN, HOOKS } from './render/hooks.ts'
import { cutSetName } from './render/sets.ts'
import { type AgentDoors, openDoors } from './runtime/agent-doors.ts'
import { AgentLife } from './runtime/agent-life.ts'
import { AgentNews } from './runtime/agent-news.ts'
import { agentStatus, newNotes, statusLine } from './runtime/agent-status.ts'
import { systemClock } from './runtime/clock.ts'
import { openDesk } from './runtime/cni/open-desk.ts'
import { cniRoutes } from './runtime/cni/routes.ts'
import { connectionJudge } from './runtime/connection-judge.ts'
import { ConnectionScan } from './runtime/connection-scan.ts'
import { Enforcement } from './runtime/enforcement.ts'
import { explain } from './runtime/explain.ts'
import { FormerConnections } from './runtime/former-connections.ts'
import { Health } from './runtime/health.ts'
import { reportState } from './runtime/kernel-metrics.ts'
import { LiveSettings } from './runtime/live-settings.ts'
import { createLog, logOptions, standardOutput } from './runtime/log.ts'
import { createMetrics } from './runtime/metrics.ts'
import { nodeAddresses } from './runtime/node-addresses.ts'
import { Notifier } from './runtime/notify.ts'
import { ObjectProblems } from './runtime/object-problems.ts'
import { OtherBackend } from './runtime/other-backend.ts'
import { readHostTraits, renderOptions } from './runtime/render-options.ts'
import { readRoutes, strayAddresses } from './runtime/route-devices.ts'
import { resolveSettings, type SettingSources } from './runtime/settings.ts'
import { Closers, onShutdown } from './runtime/shutdown.ts'
import { openSource } from './runtime/source-choice.ts'
import { stageNamed, stageText } from './runtime/stage-text.ts'
import { StatusKeys } from './runtime/status-keys.ts'
import { TableWatch } from './runtime/table-watch.ts'
import { Watchdog } from './runtime/watchdog.ts'

/** An apply that stands still for so long counts as stuck; a lock held by others is shorter than that. */
const STUCK_MS = 120_000
/** How often that is looked at where systemd does not ask for it. */
const BEAT_MS = 10_000

/**
 * The agent, put together. The one place that knows all parts:
 *
 *     etcd ────── EtcdSource ──┐         AgentLife                Enforcement
 *     Kubernetes ─ Kubernetes- ┼─ events ─> ready gate ─> ModelTree ─> PolicyEngine ─> Renderer ─> KernelDriver ─> iptables-restore
 *       Source, translated     │         pace, settings                 │                           │    └────> ipset
 *     files ───── FilesSource ─┘                                        │                           │
 *                       FormerConnections <─ handover ─┴── enforced ─> ConnectionScan ─> conntrack, cut sets
 *     KernelMonitor (nft), TableWatch (legacy) ─> KernelDriver      AgentDoors: sockets, health, metrics, status.json
 *     podfence-cni ─> cni.sock ─> CniDesk ─> source's attachments;  waits until enforced
 *
 * Runs until SIGTERM or SIGINT; resolves with the exit code. The rules stand then, unless `cleanupOnExit`.
 * `readSources` gives flags, environment and file as they are now; SIGHUP asks again.
 * Throws CONFIG_INVALID, PREREQUISITE_MISSING, KERNEL_UNREADABLE before anything runs.
 */
export async function runAgent(readSources: () => Promise<SettingSources>): Promise<number> {
  const sources = await readSources()
  const { settings } = resolveSettings(sources)
  const clock = systemClock
  const page = createMetrics()
  const { metrics } = page
  const log = createLog(logOptions(settings, process.stdout, process.env), standardOutput(), level => {
    if (level >= 50) metrics.log_errors.inc()
  })
  const live = new LiveSettings(sources, log)
  const processes = systemProcesses()
  const closers = new Closers()
  closers.add('metrics', () => page.close())
  closers.add('processes', () => processes.stopAll())
  // A SIGHUP may come before there is anything that could take new settings.
  let begin = () => {}
  const begun = new Promise<void>(resolve => {
    begin = resolve
  })
  const shutdown = onShutdown(process, {
    reload: () =>
      void begun
        .then(() => live.reload(readSources))
        .then(() => life.settingsChanged())
        .catch(err => log.error({ err, component: 'settings' }, 'the settings cannot be taken')),
    force: signal => process.exit(signal === 'SIGINT' ? 130 : 143),
  })
  closers.add('signals', () => shutdown.dispose())

  const [traits, choice] = await Promise.all([readHostTraits(), chooseBackend(processes, settings.backend)])
  // The driver announces its commits to the monitor, which tells the driver of everybody else's.
  let monitor: KernelMonitor | null = null
  const driver = new KernelDriver({
    processes,
    backend: choice.backend,
    hooks: HOOKS,
    maxElements: settings.maxSetSize,
    announce: (family, table, chains) => monitor?.expect(family, table, chains) ?? (() => {}),
    onWaiting: (family, ms) => {
      if (ms !== null) log.warn({ component: 'kernel', family, ms }, 'another program holds the xtables lock')
    },
  })
  closers.add('kernel', () => driver.close())
  if (choice.backend === 'nft' && settings.driftMonitor) {
    monitor = new KernelMonitor({
      processes,
      counters: driver.counters,
      onForeign: places => life.repaired(driver.recheck(places)),
      onGap: () => life.repaired(driver.resync()),
      onDeaf: why => news.monitorDeaf(why),
    })
    closers.add('monitor', () => monitor?.stop())
  }
  // On legacy naming one chain reads its whole table.
  const filters = FAMILIES.map(family => ({ family, table: 'filter', chain: FORWARD_CHAIN }) as const)
  const tableWatch =
    choice.backend === 'legacy' && settings.driftMonitor
      ? new TableWatch({ clock, look: () => life.repaired(driver.recheck(filters)) })
      : null
  closers.add('table watch', () => tableWatch?.stop())

  const cutter = new ConnectionCutter({
    processes,
    ipset: driver.ipset,
    counters: driver.counters,
    sets: { 4: cutSetName(4), 6: cutSetName(6) },
    timeoutSeconds: settings.cutTimeout / 1000,
    cutFirst: on => enforcement.cutFirst(on),
  })
  const cutting = {
    cutter,
    judge: () => connectionJudge({ view: engine, settings: () => live.now, nodeAddresses }),
    clock,
    failed: (error: unknown) => news.scanFailed(error),
  }
  const former = settings.cut
    ? new FormerConnections({ ...cutting, unclosed: failures => news.unclosed(failures) })
    : null
  closers.add('former connections', () => former?.stop())
  const enforcement: Enforcement = new Enforcement({
    host: settings.hostName,
    render: renderOptions(settings, traits),
    driver,
    clock,
    log,
    metrics,
    standingElsewhere: () => otherBackend.standing(),
    former,
    enforced: (addresses, left) => {
      former?.left(left)
      scan?.look(addresses)
    },
  })
  const { engine } = enforcement
  const scan = settings.cut
    ? new ConnectionScan({
        ...cutting,
        done: report => news.scanned(report),
      })
    : null
  closers.add('connection scan', () => scan?.stop())

  const objectProblems = new ObjectProblems(log, metrics)
  const source = await openSource(settings, {
    log,
    files(problems) {
      notes.warnings.delete('files')
      if (problems.length > 0) notes.warnings.set('files', problems.join('; '))
      for (const problem of problems) log.warn({ component: 'source' }, problem)
    },
    kubernetes(problems) {
      notes.objectProblems = problems
      objectProblems.tell(problems.values())
    },
  })
  closers.add('source', () => source.close())
  const statusKeys = new StatusKeys(source.statusStore, settings, () => live.now, log)
  closers.add('status keys', () => statusKeys.stop())
  let doors: AgentDoors | null = null
  const health = new Health(clock)
  const watchdog = new Watchdog(clock, STUCK_MS)
  const notifier = new Notifier({
    env: process.env,
    run: (file, args) => processes.run(file, args, { timeoutMs: 5000 }),
    clock,
  })
  const notes = newNotes(settings.hostName, source.watch.name)
  const cni = openDesk({ live, attachments: source.attachments, enforcement, driver, notes, clock, log })
  closers.add('cni', () => cni.stop())
  const otherBackend = new OtherBackend({ processes, backend: choice.backend, driver, log, notes })
  const status = () => agentStatus(notes, enforcement, driver, health)
  const changed = (enforced: boolean) => {
    doors?.statusChanged()
    notifier.status(statusLine(notes))
    cni.changed()
    metrics.ready.set(health.answer('readiness').healthy ? 1 : 0)
    if (enforced && enforcement.inSync) statusKeys.enforced(engine, () => status().endpoints)
  }
  const news = new AgentNews({ log, notes, changed: () => changed(false) })
  const life: AgentLife = new AgentLife({
    live,
    source,
    traits,
    enforcement,
    driver,
    otherBackend,
    log,
    metrics,
    clock,
    health,
    watchdog,
    notes,
    changed,
  })
  closers.add('life', () => life.stop())
  begin()

  try {
    doors = await openDoors(
      settings,
      {
        status,
        explain: question => {
          const node = {
            host: settings.hostName,
            view: engine,
            render: renderOptions(live.now, life.traits),
            settings: live.now,
            addresses: [...nodeAddresses()],
          }
          return explain(question, {
            ...node,
            addressesOf: id => engine.addressesOf(id),
            revision: enforcement.revisions.seen,
          })
        },
        render: stage =>
          stageText(stageNamed(stage), () => engine.whole(), renderOptions(live.now, life.traits)),
      },
      health,
      {
        ...page,
        text() {
          reportState(metrics, driver, enforcement)
          return page.text()
        },
      },
      cniRoutes(cni.desk),
      log,
    )
    closers.add('doors', () => doors?.close())
    // The store is asked while the kernel is read; nothing is written before the gate stands.
    const watching = source.watch.run(event => life.take(event), shutdown.signal)
    watching.catch(() => {})
    // The monitor before the first read, so that nothing falls between the two.
    await monitor?.start()
    await driver.open()
    await enforcement.gate()
    life.begin()
    tableWatch?.start()
    metrics.build_info.set({ version: status().version, backend: choice.backend }, 1)
    statusKeys.start()
    beat(notifier.watchdogEvery ?? BEAT_MS)
    await notifier.ready(statusLine(notes))
    log.info(
      { component: 'agent', backend: choice.backend, because: choice.because, host: settings.hostName },
      'started',
    )
    await otherBackend.look()
    await watching
    await notifier.stopping()
    log.info(
      { component: 'agent', reason: shutdown.signal.reason, cleanup: live.now.cleanupOnExit },
      'stopping',
    )
  } finally {
    shutdown.request('ended')
    await closers.closeAll((component, err) => log.error({ err, component }, 'could not be closed'))
  }
  if (live.now.cleanupOnExit) await cleanUp(systemProcesses(), { dryRun: false })
  return 0

  /** Pods whose interface nobody has named may hang where no rule of ours sees them. */
  async function lookForStrays(): Promise<void> {
    const { interfacePrefixes, bridges } = live.now
    const isGate = (device: string) =>
      bridges.includes(device) || interfacePrefixes.some(prefix => device.startsWith(prefix))
    const strays = strayAddresses(engine.endpoints(), await readRoutes(), isGate)
    notes.warnings.delete('routes')
    if (strays.length > 0) notes.warnings.set('routes', strays.join('; '))
  }

  /** Looks after what stands still; systemd hears of us while nothing does. */
  function beat(every: number): void {
    const timer = setInterval(() => {
      const stuck = watchdog.stuck()
      health.report('progress', stuck)
      if (settings.bridges.length > 0)
        void readHostTraits().then(now => {
          life.traits = now
        })
      if (source.attachments !== null) void lookForStrays()
      if (stuck === null) notifier.watchdog()
    }, every)
    closers.add('watchdog', () => clearInterval(timer))
  }
}
