import { FAMILIES, type Family } from '../model/values.ts'
import { HOOKS } from './hooks.ts'
import { type ChainChange, type KernelDelta, RANKS, type SetChange, type Table } from './kernel-delta.ts'

const TABLES: readonly Table[] = ['raw', 'filter']
const DEFAULT_SET_SIZE = 1_048_576

/** A whole delta for people: the ipset text, then each family's iptables text, always in the same order. */
export function printDelta(delta: KernelDelta): string {
  const parts = ['# ipset', ipsetText(delta.sets)]
  for (const family of FAMILIES)
    parts.push(family === 4 ? '# iptables' : '# ip6tables', restoreText(delta.chains, family))
  return parts.join('\n')
}

/**
 * The text for `iptables-restore --noflush` (family 4) or `ip6tables-restore --noflush` (6): the chains in
 * reading order, top first. With `hooks`, the jumps from the kernel's own chains too.
 */
export function restoreText(chains: readonly ChainChange[], family: Family, { hooks = false } = {}): string {
  return TABLES.map(table =>
    tableText(
      table,
      chains.filter(chain => chain.family === family),
      hooks,
    ),
  ).join('')
}

function tableText(table: Table, ofFamily: readonly ChainChange[], hooks: boolean): string {
  const chains = ofFamily.filter(chain => chain.table === table).sort(byReading)
  if (chains.length === 0 && !hooks) return ''
  const lines = [`*${table}`]
  for (const { name, rules } of chains) if (rules !== null) lines.push(`:${name} - [0:0]`)
  if (hooks)
    for (const hook of HOOKS) if (hook.table === table) lines.push(`-I ${hook.parent} -j ${hook.chain}`)
  for (const { name, rules } of chains) for (const rule of rules ?? []) lines.push(`-A ${name} ${rule}`)
  const gone = chains.filter(chain => chain.rules === null)
  for (const { name } of gone) lines.push(`-F ${name}`)
  for (const { name } of gone) lines.push(`-X ${name}`)
  return `${[...lines, 'COMMIT'].join('\n')}\n`
}

/** The text for `ipset restore`: sets to make and their members, by name; then those that go. */
export function ipsetText(sets: readonly SetChange[], maxElements = DEFAULT_SET_SIZE): string {
  const ordered = [...sets].sort((a, b) => compare(a.name, b.name))
  const lines: string[] = []
  for (const set of ordered) {
    if (set.created) lines.push(createLine(set, maxElements))
    if (set.removed) continue
    for (const member of [...set.deleted].sort()) lines.push(`del ${set.name} ${member}`)
    for (const member of [...set.added].sort()) lines.push(`add ${set.name} ${member}`)
  }
  for (const set of ordered) if (set.removed) lines.push(`destroy ${set.name}`)
  return lines.map(line => `${line}\n`).join('')
}

function createLine({ name, type, family, timeout }: SetChange, maxElements: number): string {
  const words = ['create', name, type, 'family', family === 4 ? 'inet' : 'inet6', 'maxelem', maxElements]
  if (timeout !== undefined) words.push('timeout', timeout)
  return words.join(' ')
}

/** From the hooks down to the rule lists, and by owner inside each. */
function byReading(a: ChainChange, b: ChainChange): number {
  return RANKS.indexOf(b.rank) - RANKS.indexOf(a.rank) || compare(a.owner, b.owner) || compare(a.name, b.name)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
