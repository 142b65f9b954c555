import { randomBytes } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Refusal } from '../kernel/report.ts'
import type { ShortSet } from '../kernel/set-book.ts'
import type { Rejection } from '../model/values.ts'
import type { PolicyWarning } from '../policy/warning.ts'
import type { HealthReport } from './health.ts'
import type { IgnoredKey } from './setting-layers.ts'

/** What the agent says of itself: the file status.json, the socket, `podfence status -o json`. */
export interface Status {
  /** Raised when a reader of an older shape would misread this one. */
  readonly schema: 1
  readonly version: string
  readonly host: string
  readonly pid: number
  /** ISO 8601, like every time here. */
  readonly startedAt: string
  readonly writtenAt: string
  readonly health: { readonly live: HealthReport; readonly ready: HealthReport }
  readonly source: {
    readonly name: string
    readonly connected: boolean
    /** Why not connected, or what happened last. */
    readonly reason: string | null
  }
  readonly sync: {
    readonly inSync: boolean
    /** What is waited for: the store, its Ready key. */
    readonly waitingFor: string | null
  }
  /** The store's revision as seen last. */
  readonly revision: string | null
  /** The last one that was carried out as far as the kernel takes it; the rest is in `refused` and `short`. */
  readonly appliedRevision: string | null
  /** The last one of which the kernel has acknowledged everything. */
  readonly enforcedRevision: string | null
  readonly kernel: {
    readonly backend: string
    /** Set when the programs of this host disagree about the backend. */
    readonly mismatch: string | null
    /** Tools that run once per update because they do not work for long. */
    readonly fallbacks: readonly string[]
    /** The last failure to apply; null when the last apply succeeded. */
    readonly failure: string | null
    readonly lastApply: string | null
    readonly lastRefresh: string | null
  }
  readonly endpoints: readonly EndpointStatus[]
  readonly rejections: readonly Rejection[]
  /** Chains that the kernel refused; each keeps its last good content or is closed. */
  readonly refused: readonly Refusal[]
  /** Sets that lack members because the kernel did not take them. */
  readonly short: readonly ShortSet[]
  /** What policy ignores, closes or cannot tell: tiers without metadata, closed lists, incomplete sets, shared addresses. */
  readonly policyWarnings: readonly PolicyWarning[]
  /** Decoded, listed, and not enforced. */
  readonly hostEndpoints: readonly string[]
  readonly ignoredConfig: readonly IgnoredKey[]
  /** Changed settings that wait for a restart. */
  readonly needRestart: readonly string[]
  readonly lastCutScan: {
    readonly at: string
    readonly ms: number
    readonly cut: number
  } | null
  /** Anything else that an operator should see. */
  readonly warnings: readonly string[]
}

/**
 * `failed`: packets are not treated as policy says, since the kernel did not take all of it, or since no rule of ours
 * can see them. `pending`: the last revision seen is not carried out yet.
 */
export type EndpointState = 'enforced' | 'pending' | 'closed' | 'failed'

export interface EndpointStatus {
  readonly id: string
  readonly interface: string | null
  readonly addresses: readonly string[]
  readonly state: EndpointState
  /** Why it is closed, pending or failed. */
  readonly reason: string | null
  /** `policy:TIER/NAME` and `profile:ID`, in the order in which they are asked. */
  readonly policies: readonly string[]
}

export const STATUS_FILE = 'status.json'

/**
 * Writes RUNDIR/status.json so that a reader sees the old text or the new one, never half of it.
 * Throws what the file system throws (a full disk); the old file stands then.
 */
export async function writeStatusFile(runDir: string, status: Status): Promise<void> {
  const target = join(runDir, STATUS_FILE)
  // A fresh name and exclusive creation: nobody's symbolic link is followed.
  const draft = `${target}.${randomBytes(6).toString('hex')}`
  try {
    await writeFile(draft, `${JSON.stringify(status, null, 2)}\n`, { flag: 'wx', mode: 0o644 })
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}
