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
const HINT_CHAINS = ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY', 'KUBE-PROXY-CANARY']
const HINT_TABLES = ['mangle', 'nat'] as const

export interface BackendHint {
  readonly backend: Backend
  readonly table: 'mangle' | 'nat'
  readonly chain: string
}

/**
 * The hint chains found in either backend. Legacy is asked only for tables that it has loaded already. Chains are asked
 * for by name: iptables-nft-save takes in the rules of all tables, whichever it prints (150 ms at 16 000 rules).
 */
export async function readHints(processes: Processes): Promise<readonly BackendHint[]> {
  const legacyTables = await readLegacyTables(4)
  const hints: BackendHint[] = []
  for (const backend of BACKENDS)
    for (const table of HINT_TABLES) {
      if (backend === 'legacy' && !legacyTables.includes(table)) continue
      for (const chain of HINT_CHAINS) {
        const args = ['-w', '-t', table, '-S', chain]
        const { code, missing } = await processes.run(toolName(backend, 4, ''), args, { timeoutMs: 30_000 })
        if (!missing && code === 0) hints.push({ backend, table, chain })
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
