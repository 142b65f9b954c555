import { mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { PodfenceError } from '../errors.ts'
import { closeServer, createHttpServer, type Routes } from './http.ts'
import type { Settings } from './setting-table.ts'

export function socketPath(runDir: string): string {
  return join(runDir, 'agent.sock')
}

export function cniSocketPath({ runDir, cniSocket }: Pick<Settings, 'runDir' | 'cniSocket'>): string {
  return cniSocket ?? join(runDir, 'cni.sock')
}

/** The kernel's sun_path holds 108 bytes with its closing zero. */
const LONGEST_PATH = 107

/** The CNI plugin's processes wait for their answers, each pod's own, and a node may start all its pods at once. */
const MOST_CNI_CONNECTIONS = 1000

export interface AgentSocket {
  readonly path: string
  close(): Promise<void>
}

/**
 * Serves RUNDIR/agent.sock, readable by its owner and group alone, and makes RUNDIR when absent. A socket that a dead
 * agent left behind is replaced. Throws CONFIG_INVALID when a living agent has it: two agents on one kernel
 * would undo each other's rules.
 */
export function serveAgentSocket(runDir: string, routes: Routes): Promise<AgentSocket> {
  return serveSocket(socketPath(runDir), 0o660, routes)
}

/** Serves the socket of the CNI plugin likewise, for its owner alone: who may write here says what a pod is. */
export function serveCniSocket(path: string, routes: Routes): Promise<AgentSocket> {
  return serveSocket(path, 0o600, routes, MOST_CNI_CONNECTIONS)
}

async function serveSocket(
  path: string,
  mode: number,
  routes: Routes,
  mostConnections?: number,
): Promise<AgentSocket> {
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw new PodfenceError('CONFIG_INVALID', `The path is too long for a socket: ${path}.`)
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  if (await answers(path))
    throw new PodfenceError('CONFIG_INVALID', `Another agent is running: it answers at ${path}.`, {
      next: 'Stop it first, or give this one a directory of its own with --run-dir.',
    })
  await rm(path, { force: true })
  const server = createHttpServer(routes, mostConnections)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // It is there when `listen` returns, and nobody else may open it for a moment first.
    const before = process.umask(0o777 & ~mode)
    server.listen(path, resolve)
    process.umask(before)
  })
  return {
    path,
    async close() {
      await closeServer(server)
      await rm(path, { force: true })
    },
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
