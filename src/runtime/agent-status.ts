import type { KernelDriver } from '../kernel/driver.ts'
import type { KubernetesProblem } from '../model/kubernetes/problem.ts'
import type { Rejection } from '../model/values.ts'
import type { PolicyWarning } from '../policy/warning.ts'
import type { NameCollision } from '../render/name.ts'
import { type EndpointCounts, type EndpointGround, endpointStates } from './endpoint-states.ts'
import type { Enforcement } from './enforcement.ts'
import type { Health } from './health.ts'
import type { IgnoredKey } from './setting-layers.ts'
import type { Status } from './status.ts'
import { podfenceVersion } from './version.ts'

/** What only the composition root knows of the agent's state; it writes here, `agentStatus` reads. */
export interface AgentNotes {
  readonly startedAt: Date
  readonly host: string
  readonly sourceName: string
  connected: boolean
  connectionReason: string | null
  /** What a sync waits for; null when in sync. */
  waitingFor: string | null
  mismatch: string | null
  applyFailure: string | null
  lastApply: Date | null
  /** Workload endpoints of this node at the last apply. */
  endpoints: EndpointCounts
  lastRefresh: Date | null
  ignoredConfig: readonly IgnoredKey[]
  needRestart: readonly string[]
  lastCutScan: Status['lastCutScan']
  /** What is wrong with Kubernetes objects, by their keys; a live map. */
  objectProblems: ReadonlyMap<string, KubernetesProblem>
  /** Each by what it is about, so that it can be taken back. */
  readonly warnings: Map<string, string>
}

/** An agent that has just begun. */
export function newNotes(host: string, sourceName: string): AgentNotes {
  return {
    startedAt: new Date(),
    host,
    sourceName,
    connected: false,
    connectionReason: null,
    waitingFor: null,
    mismatch: null,
    applyFailure: null,
    lastApply: null,
    endpoints: { enforced: 0, closed: 0, failed: 0 },
    lastRefresh: null,
    ignoredConfig: [],
    needRestart: [],
    lastCutScan: null,
    objectProblems: new Map(),
    warnings: new Map(),
  }
}

/** The agent's status at this moment. */
export function agentStatus(
  notes: AgentNotes,
  enforcement: Enforcement,
  driver: KernelDriver,
  health: Health,
): Status {
  const kernel = driver.status()
  const { seen, applied, enforced, taken, carried } = enforcement.revisions
  const collisions = enforcement.collisions()
  const pending = notes.applyFailure ?? (taken === carried ? null : `revision ${seen} is being applied`)
  return {
    schema: 1,
    version: podfenceVersion(),
    host: notes.host,
    pid: process.pid,
    startedAt: notes.startedAt.toISOString(),
    writtenAt: new Date().toISOString(),
    health: { live: health.answer('liveness'), ready: health.answer('readiness') },
    source: { name: notes.sourceName, connected: notes.connected, reason: notes.connectionReason },
    sync: { inSync: notes.waitingFor === null, waitingFor: notes.waitingFor },
    revision: seen,
    appliedRevision: applied,
    enforcedRevision: enforced,
    kernel: {
      backend: kernel.backend,
      mismatch: notes.mismatch,
      fallbacks: kernel.spawnPerUpdate ? ['iptables-restore'] : [],
      failure: notes.applyFailure,
      lastApply: notes.lastApply?.toISOString() ?? null,
      lastRefresh: notes.lastRefresh?.toISOString() ?? null,
    },
    endpoints: endpointStates(enforcement.endpoints(), endpointGround(enforcement, driver, pending)),
    rejections: [
      ...enforcement.intake.tree.rejections().values(),
      ...[...notes.objectProblems.values()].map(asRejection),
    ],
    refused: kernel.refused,
    short: kernel.short,
    policyWarnings: [...enforcement.engine.warnings(), ...collisions.map(collisionWarning)],
    hostEndpoints: [...enforcement.intake.hostEndpoints].sort(),
    ignoredConfig: notes.ignoredConfig,
    needRestart: notes.needRestart,
    lastCutScan: notes.lastCutScan,
    warnings: [
      ...notes.warnings.values(),
      ...(kernel.setTrouble === null ? [] : [`ipset: ${kernel.setTrouble.said}`]),
    ],
  }
}

/** The agent's state in one line, for systemd. What is enforced stands first, what hinders the next change after it. */
export function statusLine(notes: AgentNotes): string {
  const { sourceName, connected, connectionReason, waitingFor, applyFailure, lastApply } = notes
  const waiting = waitingFor === null ? null : `waiting for ${sourceName}: ${waitingFor}`
  if (lastApply === null) return applyFailure ?? waiting ?? 'in sync, writing the first rules'
  const lost = connected ? null : `${sourceName} is away: ${connectionReason}`
  return [enforcedLine(notes.endpoints), applyFailure, waiting ?? lost]
    .filter(part => part !== null)
    .join('; ')
}

function enforcedLine({ enforced, closed, failed }: EndpointCounts): string {
  if (closed + failed === 0) return `enforcing ${enforced} workload endpoints`
  const others = Object.entries({ failed, closed }).filter(([, count]) => count > 0)
  const told = others.map(([state, count]) => `${count} ${state}`).join(', ')
  return `enforcing ${enforced} of ${enforced + closed + failed} workload endpoints (${told}: podfence status)`
}

function asRejection({ key, reason, remedy, column }: KubernetesProblem): Rejection {
  return { key, reason: column === undefined ? reason : `column ${column}: ${reason}`, remedy }
}

/** What decides the state of endpoints; `pending` as in EndpointGround. */
export function endpointGround(
  enforcement: Enforcement,
  driver: KernelDriver,
  pending: string | null,
): EndpointGround {
  const nameless = new Set(enforcement.collisions().map(({ refused }) => refused))
  return { view: enforcement.view, unmet: driver.status(), nameless, pending }
}

/** Nobody meets this by chance; somebody who tries may. */
function collisionWarning({ name, holder, refused }: NameCollision): PolicyWarning {
  const text = `is closed wherever it is used: the name ${name} that it would have is that of ${holder}`
  return { level: 'red', subject: refused, text }
}
