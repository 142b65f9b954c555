import type { KeyChange } from '../../src/source/event.ts'
import type { Store } from '../../src/source/store.ts'
import { READY_KEY, ROOT } from '../../src/source/v1-tree.ts'

/** How much there is of everything. */
export interface BenchWorld {
  readonly name: string
  /** Endpoints of the measured node, without the real pods. */
  readonly local: number
  readonly cluster: number
  /** Each picks one local endpoint, and names two selectors that no other name twice. */
  readonly policies: number
  /** The first two bytes of the local endpoints' addresses, which follow each other. Default 10.64. */
  readonly range?: string
  /** What their interfaces' names begin with. Default cali, which makes them routed. */
  readonly prefix?: string
}

/** As the definitions of the benchmarks have them: some 14 000 IPv4 rules and 1 000 sets of 10 members at W1. */
export const W0: BenchWorld = { name: 'W0', local: 30, cluster: 1000, policies: 100 }
export const W1: BenchWorld = { name: 'W1', local: 100, cluster: 10_000, policies: 1000 }

const TIER = `${ROOT}policy/tier/default`

export function policyKey(index: number): string {
  return `${TIER}/policy/p${index}`
}

/** `port`: what an edit changes. */
export function policyValue(world: BenchWorld, index: number, port = 8000): string {
  const from = (app: number, ports: number[]) => ({
    action: 'allow',
    protocol: 'tcp',
    src_selector: `app == 'a${app % world.policies}'`,
    dst_ports: ports,
  })
  return JSON.stringify({
    selector: `ep == 'e${index % world.local}'`,
    order: index,
    inbound_rules: [from(index, [port]), from(index + 1, [9000])],
    outbound_rules: [{ action: 'allow' }],
  })
}

export function localKey(host: string, name: string): string {
  return `${ROOT}host/${host}/workload/lab/${name}/endpoint/eth0`
}

export function clusterKey(index: number): string {
  return localKey(`h${index % 100}`, `c${index}`)
}

/** `app` null: no policy's selector picks it. */
export function clusterValue(index: number, app: number | null): string {
  return endpointValue(`cali${index}`, `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`, {
    app: app === null ? 'none' : `a${app}`,
  })
}

export function endpointValue(
  name: string,
  address: string,
  labels: Readonly<Record<string, string>>,
  profile = 'open',
): string {
  const nets = { ipv4_nets: [`${address}/32`], ipv6_nets: [] }
  return JSON.stringify({ state: 'active', name, profile_ids: [profile], ...nets, labels })
}

export function localAddress({ range = '10.64' }: BenchWorld, index: number): string {
  return `${range}.${index >> 8}.${index & 255}`
}

/** Every key of the world but the real pods', Ready last. */
export function benchEntries(world: BenchWorld, host: string): Map<string, string> {
  const entries = new Map<string, string>()
  for (const [profile, rules] of [
    ['open', [{ action: 'allow' }]],
    ['closed', []],
  ] as const) {
    entries.set(`${ROOT}policy/profile/${profile}/tags`, '[]')
    const both = { inbound_rules: rules, outbound_rules: rules }
    entries.set(`${ROOT}policy/profile/${profile}/rules`, JSON.stringify(both))
  }
  entries.set(`${TIER}/metadata`, JSON.stringify({ order: 100 }))
  for (let index = 0; index < world.policies; index++)
    entries.set(policyKey(index), policyValue(world, index))
  for (let index = 0; index < world.local; index++) {
    const address = localAddress(world, index)
    entries.set(
      localKey(host, `w${index}`),
      endpointValue(`${world.prefix ?? 'cali'}${index}`, address, { ep: `e${index}`, app: 'local' }),
    )
  }
  for (let index = 0; index < world.cluster; index++)
    entries.set(clusterKey(index), clusterValue(index, index % world.policies))
  entries.set(READY_KEY, 'true')
  return entries
}

/** etcd takes 128 operations in one transaction. */
const MOST_IN_ONE = 100
const ABREAST = 8

/** Writes changes; the last of them is written after all others. Resolves with the store's revision then. */
export async function writeAll(store: Store, changes: readonly KeyChange[]): Promise<bigint> {
  const commit = (batch: readonly KeyChange[]) =>
    store.commit({
      puts: batch.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }])),
      deletes: batch.flatMap(({ key, value }) => (value === null ? [key] : [])),
    })
  let from = 0
  const work = async () => {
    while (from < changes.length - 1) {
      const batch = changes.slice(from, Math.min(from + MOST_IN_ONE, changes.length - 1))
      from += batch.length
      await commit(batch)
    }
  }
  await Promise.all(Array.from({ length: ABREAST }, work))
  return commit(changes.slice(-1))
}

export function asChanges(entries: ReadonlyMap<string, string>): KeyChange[] {
  return Array.from(entries, ([key, value]) => ({ key, value }))
}
