import { execFileSync } from 'node:child_process'
import type { Test } from 'tap'
import { KernelDriver, type KernelDriverOptions } from '../../src/kernel/driver.ts'
import { systemProcesses } from '../../src/kernel/process.ts'
import type {
  ChainChange,
  ChainRank,
  Hook,
  KernelDelta,
  SetChange,
  Table,
} from '../../src/render/kernel-delta.ts'

/** What the kernel tests write: small deltas in the renderer's form, and the real tools to look with. */

export const HOOKS: readonly Hook[] = [
  { table: 'raw', parent: 'PREROUTING', chain: 'podf-PREROUTING' },
  { table: 'filter', parent: 'INPUT', chain: 'podf-INPUT' },
  { table: 'filter', parent: 'FORWARD', chain: 'podf-FORWARD' },
  { table: 'filter', parent: 'OUTPUT', chain: 'podf-OUTPUT' },
]

export function chain(
  name: string,
  rules: readonly string[] | null,
  more: { family?: 4 | 6; table?: Table; rank?: ChainRank; owner?: string } = {},
): ChainChange {
  const { family = 4, table = 'filter', rank = 'list', owner = name } = more
  const heading = `-m comment --comment "podf:${rules?.length}:${name}"`
  return { family, table, name, rank, owner, rules: rules === null ? null : [heading, ...rules] }
}

export function set(name: string, change: Partial<SetChange> = {}): SetChange {
  return {
    name,
    family: name.startsWith('podf-6') || name === 'podf-cut-6' ? 6 : 4,
    type: 'hash:ip',
    role: 'opens',
    created: false,
    removed: false,
    added: [],
    deleted: [],
    owner: name,
    ...change,
  }
}

export const created = (name: string, added: readonly string[], more: Partial<SetChange> = {}) =>
  set(name, { created: true, added, ...more })

/** The top chains of both families, and one list chain behind them that uses a set. */
export function world(more: Partial<KernelDelta> = {}): KernelDelta {
  const chains: ChainChange[] = []
  for (const family of [4, 6] as const) {
    const at = (table: Table, name: string, rules: readonly string[]) =>
      chains.push(chain(name, rules, { family, table, rank: 'top' }))
    at('raw', 'podf-PREROUTING', ['-i cali+ -m rpfilter --invert -j DROP'])
    at('filter', 'podf-INPUT', ['-i cali+ -j DROP'])
    at('filter', 'podf-FORWARD', ['-i cali+ -g podf-from', '-o cali+ -j podf-list'])
    at('filter', 'podf-OUTPUT', [])
    chains.push(chain('podf-from', ['-j podf-list', '-j DROP'], { family, rank: 'dispatch' }))
    chains.push(
      chain(
        'podf-list',
        [
          `-p tcp -m tcp --dport 80 -m set --match-set podf-${family}-a src -j MARK --set-xmark 0x1000000/0x1000000`,
          '-m mark --mark 0x1000000/0x1000000 -j RETURN',
        ],
        { family },
      ),
    )
  }
  const sets = [created('podf-4-a', ['10.0.0.1', '10.0.0.2']), created('podf-6-a', ['fd00::1'])]
  return { sets: [...sets, ...(more.sets ?? [])], chains: [...chains, ...(more.chains ?? [])] }
}

/** Runs a shell command and returns what it prints. */
export function sh(command: string): string {
  return execFileSync('bash', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** The rules of one chain as the kernel holds them, after `-A NAME `. */
export function rulesOf(
  backend: 'nft' | 'legacy',
  name: string,
  more: { family?: 4 | 6; table?: Table } = {},
) {
  const { family = 4, table = 'filter' } = more
  const tool = `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-save`
  const head = `-A ${name} `
  return sh(`${tool} -t ${table} 2>/dev/null`)
    .split('\n')
    .filter(line => line.startsWith(head))
    .map(line => line.slice(head.length))
}

export function membersOf(name: string): readonly string[] {
  return sh(`ipset save ${name}`)
    .split('\n')
    .filter(line => line.startsWith('add '))
    .map(line => line.split(' ')[2] ?? '')
    .sort()
}

/** A driver that has written `world` for real; what it wrote goes with the test. */
export async function adopted(t: Test, backend: 'nft' | 'legacy', more: Partial<KernelDriverOptions> = {}) {
  const driver = new KernelDriver({ processes: systemProcesses(), backend, hooks: HOOKS, ...more })
  await driver.open()
  await driver.adopt(world())
  t.teardown(async () => {
    await driver.adopt({ sets: [], chains: [] })
    await driver.settled()
    await driver.close()
    sh(`for t in iptables ip6tables; do $t-${backend} -F; $t-${backend} -X; done`)
  })
  return driver
}
