import { PodfenceError } from '../errors.ts'
import type { Family } from '../model/values.ts'
import { readLegacyTables } from './legacy-tables.ts'
import type { Processes } from './process.ts'

export type Backend = 'nft' | 'legacy'
export const BACKENDS: readonly Backend[] = ['nft', 'legacy']

/** The one that is not written to. */
export function otherBackend(backend: Backend): Backend {
  return backend === 'nft' ? 'legacy' : 'nft'
}

/** `iptables-nft-restore`, `ip6tables-legacy-save`, ... or the plain `iptables-nft`. */
export function toolName(backend: Backend, family: Family, verb: '' | 'restore' | 'save'): string {
  return `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}${verb === '' ? '' : `-${verb}`}`
}

export interface BackendChoice {
  readonly backend: Backend
  /** What `iptables -V` printed, or why it could not be asked. */
  readonly version: string
  /** Why this one: `setting`, or what `iptables -V` names. */
  readonly because: string
}

/**
 * The backend to write to. `auto` is what `iptables -V` names: the one that the node's administrator
 * chose for everything else. Throws PREREQUISITE_MISSING when there is no iptables at all.
 */
export async function chooseBackend(processes: Processes, setting: 'auto' | Backend): Promise<BackendChoice> {
  const answer = await processes.run('iptables', ['-V'], { timeoutMs: 10_000 })
  const version = answer.missing ? 'no iptables' : answer.stdout.trim()
  if (setting !== 'auto') return { backend: setting, version, because: 'setting' }
  if (answer.missing || answer.code !== 0)
    throw new PodfenceError(
      'PREREQUISITE_MISSING',
      `iptables cannot be run: ${answer.stderr.trim() || version}`,
    )
  // Before 1.8 there was only one, and it named none.
  const backend = version.includes('nf_tables') ? 'nft' : 'legacy'
  return { backend, version, because: `iptables -V says ${version}` }
}

/** Chains that kubelet and kube-proxy leave to tell which backend they use. */
const HINTS = /^:(KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY|KUBE-PROXY-CANARY) /gm

export interface BackendHint {
  readonly backend: Backend
  readonly table: 'mangle' | 'nat'
  readonly chain: string
}

/** The hint chains found in either backend. Legacy is asked only for tables that it has loaded already. */
export async function readHints(processes: Processes): Promise<readonly BackendHint[]> {
  const legacyTables = await readLegacyTables(4)
  const hints: BackendHint[] = []
  for (const backend of BACKENDS) {
    for (const table of ['mangle', 'nat'] as const) {
      if (backend === 'legacy' && !legacyTables.includes(table)) continue
      const save = await processes.run(toolName(backend, 4, 'save'), ['-t', table], { timeoutMs: 30_000 })
      for (const [, chain = ''] of save.stdout.matchAll(HINTS)) hints.push({ backend, table, chain })
    }
  }
  return hints
}

/** One sentence when the hints name only the other backend, else null. Both backends hook, so drops hold either way. */
export function backendMismatch(ours: Backend, hints: readonly BackendHint[]): string | null {
  if (hints.length === 0 || hints.some(hint => hint.backend === ours)) return null
  const [hint] = hints
  return `podfence writes to ${ours}, but ${hint?.chain} in ${hint?.table} shows that Kubernetes uses ${hint?.backend}`
}
