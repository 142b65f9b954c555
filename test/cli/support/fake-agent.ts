import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type AgentAnswers, agentRoutes } from '../../../src/runtime/agent-routes.ts'
import { serveAgentSocket } from '../../../src/runtime/agent-socket.ts'

/** A running agent as far as its socket: what it answers is given. */
export async function agentWith(t: Test, answers: Partial<AgentAnswers>): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'podfence-cli-'))
  const unasked = () => {
    throw new Error('not asked')
  }
  const socket = await serveAgentSocket(
    directory,
    agentRoutes({ status: unasked, explain: unasked, render: unasked, ...answers }),
  )
  t.teardown(async () => {
    await socket.close()
    rmSync(directory, { recursive: true })
  })
  return directory
}
