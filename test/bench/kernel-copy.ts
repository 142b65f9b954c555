import { toolName } from '../../src/kernel/backend.ts'
import type { LabNode } from '../../src/lab/node.ts'
import { FAMILIES, type Family } from '../../src/model/values.ts'
import type { BareTexts } from './bare-floor.ts'

const TABLES = ['raw', 'filter'] as const

/** The tables of one family as `iptables-save` prints them, without counters and remarks. */
async function savedTables(node: LabNode, family: Family): Promise<string> {
  let text = ''
  for (const table of TABLES)
    text += (await node.run([toolName(node.backend, family, 'save'), '-t', table])).stdout
  return text.replaceAll(/^#.*\n/gm, '').replaceAll(/\[\d+:\d+\]/g, '[0:0]')
}

/** Everything of netfilter that a node holds. */
export interface KernelPicture {
  readonly tables: Readonly<Record<Family, string>>
  readonly sets: string
}

export async function kernelPicture(node: LabNode): Promise<KernelPicture> {
  const [four, six, sets] = await Promise.all([
    savedTables(node, 4),
    savedTables(node, 6),
    node.run(['ipset', 'save']),
  ])
  const kept = sets.stdout.split('\n').filter(line => !/^\w+ (podf|bench)-ack /.test(line))
  return { tables: { 4: four, 6: six }, sets: kept.join('\n') }
}

export function ruleCount({ tables }: KernelPicture, family: Family): number {
  return tables[family].match(/^-A /gm)?.length ?? 0
}

/** Takes every rule, chain and set off a node. */
export async function emptyKernel(node: LabNode): Promise<void> {
  const nothing = TABLES.map(table => `*${table}\nCOMMIT\n`).join('')
  for (const family of FAMILIES)
    await node.run([toolName(node.backend, family, 'restore'), '-w'], { input: nothing })
  // Under nft a set is held for some milliseconds after its last rule has gone.
  for (let tries = 0; tries < 20; tries++) {
    const { code } = await node.run(['ipset', 'destroy'], { allowFailure: true })
    if (code === 0) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`the sets of ${node.name} cannot be destroyed`)
}

/** Makes an empty node hold the same as another. Resolves with the milliseconds of the tools alone: sets, then both tables. */
export async function loadKernel(node: LabNode, { tables, sets }: KernelPicture): Promise<number> {
  const began = performance.now()
  await node.run(['ipset', 'restore', '-exist'], { input: sets })
  await Promise.all(
    FAMILIES.map(family =>
      node.run([toolName(node.backend, family, 'restore'), '-w'], { input: tables[family] }),
    ),
  )
  return performance.now() - began
}

/** The restore texts that turn the filter and raw tables of `before` into those of `after`, chain by chain as the agent writes them. */
export function restoreBetween(before: KernelPicture, after: KernelPicture): BareTexts {
  const text = (family: Family) => {
    const [old, now] = [chainsOf(before.tables[family]), chainsOf(after.tables[family])]
    return TABLES.map(table => tableBetween(table, old[table], now[table])).join('')
  }
  return withoutEmpty({ restore4: text(4), restore6: text(6) })
}

type Chains = ReadonlyMap<string, readonly string[]>

function tableBetween(table: string, old: Chains, now: Chains): string {
  const changed = [...now].filter(([chain, rules]) => old.get(chain)?.join('\n') !== rules.join('\n'))
  const gone = [...old.keys()].filter(chain => !now.has(chain))
  if (changed.length + gone.length === 0) return ''
  const declared = [...changed.map(([chain]) => chain), ...gone].map(chain => `:${chain} - [0:0]`)
  return `${[
    `*${table}`,
    ...declared,
    ...changed.flatMap(([, rules]) => rules),
    ...gone.map(chain => `-X ${chain}`),
    'COMMIT',
  ].join('\n')}\n`
}

/** Only chains of ours, with their rules as they stand. */
function chainsOf(text: string): Record<(typeof TABLES)[number], Chains> {
  const tables = { raw: new Map<string, string[]>(), filter: new Map<string, string[]>() }
  let chains = tables.raw
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) chains = line === '*raw' ? tables.raw : tables.filter
    else if (line.startsWith(':podf-')) chains.set(line.slice(1, line.indexOf(' ')), [])
    else if (line.startsWith('-A podf-')) chains.get(line.split(' ', 2)[1]!)?.push(line)
  }
  return tables
}

function withoutEmpty(texts: Record<'restore4' | 'restore6', string>): BareTexts {
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ''))
}
