import type { KernelDriver } from '../kernel/driver.ts'
import type { LocalEndpoint, RuleListId } from '../policy/outcome.ts'
import type { Enforcement } from './enforcement.ts'
import type { Health } from './health.ts'
import type { IgnoredKey } from './setting-layers.ts'
import type { EndpointStatus, Status } from './status.ts'
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
  lastRefresh: Date | null
  ignoredConfig: readonly IgnoredKey[]
  needRestart: readonly string[]
  lastCutScan: Status['lastCutScan']
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
    lastRefresh: null,
    ignoredConfig: [],
    needRestart: [],
    lastCutScan: null,
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
  const failed = new Map(kernel.refused.map(({ owner, said }) => [owner, said]))
  const pending = notes.applyFailure !== null || enforcement.revision !== enforcement.enforcedRevision
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
    revision: enforcement.revision,
    enforcedRevision: enforcement.enforcedRevision,
    kernel: {
      backend: kernel.backend,
      mismatch: notes.mismatch,
      fallbacks: kernel.spawnPerUpdate ? ['iptables-restore'] : [],
      failure: notes.applyFailure,
      lastApply: notes.lastApply?.toISOString() ?? null,
      lastRefresh: notes.lastRefresh?.toISOString() ?? null,
    },
    endpoints: enforcement.engine.endpoints().map(endpoint => endpointStatus(endpoint, failed, pending)),
    rejections: [...enforcement.tree.rejections().values()],
    refused: kernel.refused,
    short: kernel.short,
    policyWarnings: enforcement.engine.warnings(),
    hostEndpoints: [...enforcement.hostEndpoints].sort(),
    ignoredConfig: notes.ignoredConfig,
    needRestart: notes.needRestart,
    lastCutScan: notes.lastCutScan,
    warnings: [
      ...notes.warnings.values(),
      ...(kernel.setTrouble === null ? [] : [`ipset: ${kernel.setTrouble.said}`]),
    ],
  }
}

function endpointStatus(
  endpoint: LocalEndpoint,
  failed: ReadonlyMap<string, string>,
  pending: boolean,
): EndpointStatus {
  const { id, closed, ingress, egress } = endpoint
  const lists = new Set<RuleListId>()
  for (const { tiers, profiles } of [ingress, egress])
    for (const list of [...tiers.flatMap(tier => tier.lists), ...profiles]) lists.add(list)
  const policies = [...new Set([...lists].map(list => list.slice(0, list.lastIndexOf(':'))))]
  const owners = [
    `endpoint ${id} to`,
    `endpoint ${id} from`,
    ...[...lists].map(list => list.replaceAll(':', ' ')),
  ]
  const refusal = owners.map(owner => failed.get(owner)).find(said => said !== undefined)
  return {
    id,
    interface: endpoint.interface,
    addresses: [...endpoint.addresses4, ...endpoint.addresses6],
    state: closed !== null ? 'closed' : refusal !== undefined ? 'failed' : pending ? 'pending' : 'enforced',
    reason: closed ?? refusal ?? null,
    policies,
  }
}
