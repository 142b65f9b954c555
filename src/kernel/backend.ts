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
 * The hint chains found in either backend; none in nft where there is no program nft. Legacy is asked only for tables that
 * it has loaded already. No rules are asked for: the save tools take in those of all tables, whichever they print (150 ms at
 * 16 000 rules).
 */
export async function readHints(processes: Processes): Promise<readonly BackendHint[]> {
  const [nft, legacy] = await Promise.all([readNftChains(processes), readLegacyChains(processes)])
  const found = { nft, legacy }
  return BACKENDS.flatMap(backend =>
    HINT_TABLES.flatMap(table =>
      HINT_CHAINS.filter(chain => found[backend].has(`${table} ${chain}`)).map(chain => ({
        backend,
        table,
        chain,
      })),
    ),
  )
}

/** Every IPv4 chain as `TABLE CHAIN`. */
async function readNftChains(processes: Processes): Promise<ReadonlySet<string>> {
  const { stdout } = await processes.run('nft', ['list', 'chains', 'ip'], { timeoutMs: 30_000 })
  const chains = new Set<string>()
  let table = ''
  for (const line of stdout.split('\n')) {
    const [, kind, name] = /^(?:\t(chain)|table ip) (\S+) \{/.exec(line) ?? []
    if (name === undefined) continue
    if (kind === 'chain') chains.add(`${table} ${name}`)
    else table = name
  }
  return chains
}

/** The hint chains that are there, as `TABLE CHAIN`. */
async function readLegacyChains(processes: Processes): Promise<ReadonlySet<string>> {
  const loaded = await readLegacyTables(4)
  const chains = new Set<string>()
  for (const table of HINT_TABLES.filter(name => loaded.includes(name)))
    for (const chain of HINT_CHAINS) {
      const args = ['-w', '-t', table, '-S', chain]
      const { code, missing } = await processes.run(toolName('legacy', 4, ''), args, { timeoutMs: 30_000 })
      if (!missing && code === 0) chains.add(`${table} ${chain}`)
    }
  return chains
}

/** One sentence when the hints name only the other backend, else null. Both backends hook, so drops hold either way. */
export function backendMismatch(ours: Backend, hints: readonly BackendHint[]): string | null {
  if (hints.length === 0 || hints.some(hint => hint.backend === ours)) return null
  const [hint] = hints
  return `podfence writes to ${ours}, but ${hint?.chain} in ${hint?.table} shows that Kubernetes uses ${hint?.backend}`
}
