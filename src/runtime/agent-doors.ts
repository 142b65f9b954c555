import { PodfenceError } from '../errors.ts'
import { type AgentAnswers, agentRoutes } from './agent-routes.ts'
import { cniSocketPath, serveAgentSocket, serveCniSocket } from './agent-socket.ts'
import { Doors } from './doors.ts'
import type { Health } from './health.ts'
import { healthRoutes, metricsRoutes } from './health-routes.ts'
import { listenHttp, type Routes } from './http.ts'
import type { Logger } from './log.ts'
import type { MetricsPage } from './metrics.ts'
import type { Settings } from './setting-table.ts'
import { writeStatusFile } from './status.ts'

/** Through which others see the agent: its socket, the health and metrics ports, status.json. */
export interface AgentDoors {
  /** status.json is out of date; it is written soon, at most once a second. */
  statusChanged(): void
  close(): Promise<void>
}

/** At most so often is status.json written. */
const STATUS_REST_MS = 1000
/** After so long a file that could not be written is tried again. */
const RETRY_MS = 5000

/**
 * Opens the doors. A port that is taken or a directory that cannot be written is told, tried again and meanwhile done
 * without: the firewall matters more. Throws CONFIG_INVALID when another agent lives in this run directory.
 */
export async function openDoors(
  settings: Settings,
  answers: AgentAnswers,
  health: Health,
  page: MetricsPage,
  cni: Routes,
  log: Logger,
): Promise<AgentDoors> {
  const doors = new Doors('agent', log)
  // Another agent of this run directory is no passing trouble.
  const isTaken = (error: unknown) => error instanceof PodfenceError
  await doors.open('the socket', () => serveAgentSocket(settings.runDir, agentRoutes(answers)), isTaken)
  await doors.open('the CNI socket', () => serveCniSocket(cniSocketPath(settings), cni))
  const { healthAddress, metricsAddress } = settings
  if (healthAddress !== null)
    await doors.open('health', () => listenHttp('health', healthAddress, healthRoutes(health)))
  if (metricsAddress !== null)
    await doors.open('metrics', () => listenHttp('metrics', metricsAddress, metricsRoutes(page)))

  let closed = false
  let timer: NodeJS.Timeout | null = null
  let writing: Promise<void> = Promise.resolve()
  let failed = false
  const writeIn = (ms: number) => {
    if (closed) return
    timer ??= setTimeout(() => {
      timer = null
      void write()
    }, ms)
  }
  const write = () => {
    writing = writeStatusFile(settings.runDir, answers.status()).then(
      () => {
        failed = false
      },
      err => {
        if (!failed) log.warn({ err, component: 'agent' }, 'status.json cannot be written')
        failed = true
        writeIn(RETRY_MS)
      },
    )
    return writing
  }
  return {
    statusChanged: () => writeIn(STATUS_REST_MS),
    async close() {
      closed = true
      if (timer !== null) clearTimeout(timer)
      await writing
      await write()
      await doors.close()
    },
  }
}
