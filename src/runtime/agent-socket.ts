import { chmod, mkdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { PodfenceError } from '../errors.ts'
import { closeServer, createHttpServer, type Routes } from './http.ts'

export function socketPath(runDir: string): string {
  return join(runDir, 'agent.sock')
}

/** The kernel's sun_path holds 108 bytes with its closing zero. */
const LONGEST_PATH = 107

export interface AgentSocket {
  readonly path: string
  close(): Promise<void>
}

/**
 * Serves RUNDIR/agent.sock, readable by its owner and group alone, and makes RUNDIR when absent. A socket that a dead
 * agent left behind is replaced. Throws CONFIG_INVALID when a living agent has it: two agents on one kernel
 * would undo each other's rules.
 */
export async function serveAgentSocket(runDir: string, routes: Routes): Promise<AgentSocket> {
  const path = socketPath(runDir)
  if (Buffer.byteLength(path) > LONGEST_PATH)
    throw new PodfenceError('CONFIG_INVALID', `runDir is too long for a socket: ${path}.`)
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  if (await answers(path))
    throw new PodfenceError('CONFIG_INVALID', `Another agent is running: it answers at ${path}.`, {
      next: 'Stop it first, or give this one a directory of its own with --run-dir.',
    })
  await rm(path, { force: true })
  const server = createHttpServer(routes)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  await chmod(path, 0o660)
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
