import { mkdirSync } from 'node:fs'
import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { PodfenceError } from '../errors.ts'
import type { Backend } from '../kernel/backend.ts'
import type { Processes } from '../kernel/process.ts'
import { socketPath } from '../runtime/agent-socket.ts'
import type { Status } from '../runtime/status.ts'
import type { KeyChange } from '../source/event.ts'
import { type AgentProcess, startAgent } from './agent-process.ts'
import { type Lab, openLab } from './lab.ts'
import { type LabEtcd, openLabEtcd } from './lab-etcd.ts'
import type { NodeRequest } from './node.ts'
import { type WorldWords, worldChanges, worldEntries } from './world.ts'

export interface StageOptions {
  readonly backend: Backend
  /** The nodes. Default two: `n1`, `n2`. */
  readonly nodes?: readonly (string | NodeRequest)[]
  /** Flags of every agent beside those that the stage needs: `['--bridges', 'cbr0']`. */
  readonly flags?: readonly string[]
  /** Whether the agents start with the stage. Default true. */
  readonly agents?: boolean
}

/** The laboratory with one etcd and one real agent a node: what the demo and the scenarios play on. */
export interface Stage {
  readonly lab: Lab
  readonly etcd: LabEtcd
  readonly backend: Backend
  /** The agents that run now, by node. */
  readonly agents: ReadonlyMap<string, AgentProcess>
  /** `flags` come after the stage's own and so win over them. */
  startAgent(node: string, flags?: readonly string[], env?: Readonly<Record<string, string>>): AgentProcess
  /**
   * Makes the store say `world` and waits until every running agent has enforced that, unless told not to.
   * Milliseconds from write to enforced.
   */
  show(world: WorldWords, wait?: boolean): Promise<number>
  /** Writes changes in one transaction (or as few as etcd takes) and waits likewise, unless told not to. */
  write(changes: readonly KeyChange[], wait?: boolean): Promise<number>
  /** Waits until every running agent has enforced everything up to the last write. */
  enforced(timeoutMs?: number): Promise<void>
  status(node: string): Promise<Status>
  close(): Promise<void>
}

/** The built CLI, whether this module runs from src/ or from dist/. */
export const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** etcd's limit is 128 operations in one transaction. */
const MOST_IN_ONE = 100
const PATIENCE_MS = 20_000

export async function openStage(options: StageOptions, processes: Processes): Promise<Stage> {
  const { backend, nodes = ['n1', 'n2'], flags = [] } = options
  const lab = await openLab({ nodes, backend }, processes)
  const etcd = await openLabEtcd(processes, lab.storeAddress4)
  const agents = new Map<string, AgentProcess>()
  let shown: ReadonlyMap<string, string> = new Map()
  let written = 0n

  const stage: Stage = {
    lab,
    etcd,
    backend,
    agents,
    startAgent(name, more = [], env = {}) {
      const node = lab.node(name)
      mkdirSync(node.runDirectory, { recursive: true })
      const agent = startAgent(processes, {
        node,
        env,
        command: [
          ...[process.execPath, CLI, 'agent', '--host-name', name, '--backend', backend],
          ...['--etcd-endpoints', etcd.endpoint, '--run-dir', node.runDirectory],
          ...['--log-format', 'text', ...flags, ...more],
        ],
      })
      agents.set(name, agent)
      void agent.ended.then(() => agents.get(name) === agent && agents.delete(name))
      return agent
    },
    async show(world, wait = true) {
      const entries = worldEntries(world)
      const changes = worldChanges(shown, entries)
      shown = entries
      return stage.write(changes, wait)
    },
    async write(changes, wait = true) {
      const began = performance.now()
      for (let from = 0; from < changes.length; from += MOST_IN_ONE) {
        const batch = changes.slice(from, from + MOST_IN_ONE)
        const puts = batch.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }]))
        const deletes = batch.flatMap(({ key, value }) => (value === null ? [key] : []))
        written = await etcd.store.commit({ puts, deletes })
      }
      if (wait) await stage.enforced()
      return performance.now() - began
    },
    async enforced(timeoutMs = PATIENCE_MS) {
      const deadline = Date.now() + timeoutMs
      for (const [name, agent] of agents)
        for (;;) {
          const status = await stage.status(name).catch(() => null)
          if (status !== null && hasEnforced(status, written)) break
          if (Date.now() > deadline)
            throw new PodfenceError(
              'AGENT_UNREACHABLE',
              `${name} did not enforce revision ${written}:\n${agent.log().slice(-3000)}`,
            )
          await pause(10)
        }
    },
    status: name => agentStatus(lab.node(name).runDirectory),
    async close() {
      await Promise.all([...agents.values()].map(agent => agent.stop()))
      await etcd.close()
      await lab.close()
    },
  }
  if (options.agents !== false) for (const { name } of lab.nodes) stage.startAgent(name)
  return stage
}

/** Whether the kernel has acknowledged everything up to the revision `written`. */
export function hasEnforced(status: Status, written: bigint): boolean {
  return hasApplied(status, written) && status.enforcedRevision === status.revision
}

/** Likewise, but for what the kernel does not take: that is told in `refused` and `short`. */
export function hasApplied({ revision, appliedRevision, sync, kernel }: Status, written: bigint): boolean {
  if (!sync.inSync || revision === null || appliedRevision !== revision || kernel.failure !== null)
    return false
  return BigInt(revision) >= written
}

/** Asks an agent over its socket, which is a file and so knows no network namespace. */
function agentStatus(runDirectory: string): Promise<Status> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { socketPath: socketPath(runDirectory), path: '/status', timeout: 5000 },
      answer => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => {
          text += chunk
        })
        answer.on('end', () => resolve(JSON.parse(text) as Status))
      },
    )
    asked.on('error', reject)
    asked.on('timeout', () => asked.destroy(new Error('the agent does not answer')))
    asked.end()
  })
}
