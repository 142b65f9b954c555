import { FAMILIES, type Family } from '../model/values.ts'
import { BACKENDS, type Backend, toolName } from './backend.ts'
import { readLegacyTables } from './legacy-tables.ts'
import { nativeRemovals } from './native-cleanup.ts'
import { PREFIX } from './own-names.ts'
import type { Processes } from './process.ts'
import { listOwnSets } from './set-picture.ts'

/** One tool and the lines for its stdin. */
export interface Removal {
  readonly tool: string
  readonly lines: readonly string[]
}

export interface CleanupReport {
  /** What was done, or in a dry run would be. */
  readonly removals: readonly Removal[]
  readonly sets: readonly string[]
  /** What is still there, one sentence each. Empty: nothing of ours is left. */
  readonly left: readonly string[]
}

/** How often a set that is in use is tried: the kernel lets go of it some 30 ms after its last rule. */
const TRIES = 20
const PAUSE_MS = 100

/**
 * Removes everything of ours, hooks first, from every table of both backends and families, with no store
 * and no state: the prefix tells. Rules of others stay, except such as jump to a chain of ours. Running it
 * again does nothing. A tool that is missing has nothing to clean.
 */
export async function cleanUp(
  processes: Processes,
  options: { readonly dryRun?: boolean } = {},
): Promise<CleanupReport> {
  const removals: Removal[] = []
  const left: string[] = []
  for (const backend of BACKENDS) {
    const found = await findRemovals(processes, backend)
    removals.push(...found)
    if (!options.dryRun) left.push(...(await removeRules(processes, found)))
  }
  const sets = await ownSets(processes)
  if (!options.dryRun) left.push(...(await destroySets(processes, sets)))
  return { removals, sets, left }
}

/**
 * What would remove the chains and jumps of ours from one backend; nothing where its tools are missing. Only
 * looks: no table is made or loaded by it. Sets are not among it, since both backends share them.
 */
export async function findRemovals(processes: Processes, backend: Backend): Promise<readonly Removal[]> {
  const removals: Removal[] = []
  for (const family of FAMILIES) removals.push(...(await findFamilyRemovals(processes, backend, family)))
  return removals
}

/** Carries removals out, each in one transaction. Resolves with what failed, one sentence each. */
export async function removeRules(
  processes: Processes,
  removals: readonly Removal[],
): Promise<readonly string[]> {
  const failures: string[] = []
  for (const { tool, lines } of removals) {
    const args = tool === 'nft' ? ['-f', '-'] : ['--noflush', '-w']
    const end = await processes.run(tool, args, { input: `${lines.join('\n')}\n` })
    if (end.code !== 0) failures.push(`${tool}: ${end.stderr.trim() || `ended with ${end.code}`}`)
  }
  return failures
}

async function findFamilyRemovals(
  processes: Processes,
  backend: Backend,
  family: Family,
): Promise<readonly Removal[]> {
  const tables: readonly (string | null)[] = backend === 'nft' ? [null] : await readLegacyTables(family)
  const removals: Removal[] = []
  for (const table of tables) {
    const tool = toolName(backend, family, 'save')
    const save = await processes.run(tool, table === null ? [] : ['-t', table])
    for (const [name, lines] of removalsIn(save.stdout)) {
      removals.push({ tool: toolName(backend, family, 'restore'), lines: [`*${name}`, ...lines, 'COMMIT'] })
    }
    // Tables with someone's native nft rules are left out of that text.
    for (const [, unreadable = ''] of save.stdout.matchAll(/^# Table [`'](\S+)' is incompatible/gm))
      removals.push(...(await nativeRemovals(processes, family, unreadable)))
  }
  return removals
}

/** Table name to the restore lines that remove what is ours in it. */
function removalsIn(text: string): ReadonlyMap<string, readonly string[]> {
  const removals = new Map<string, string[]>()
  let table = ''
  let chains: string[] = []
  let jumps: string[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      table = line.slice(1)
      chains = []
      jumps = []
    } else if (line.startsWith(`:${PREFIX}`)) chains.push(line.slice(1, line.indexOf(' ')))
    else if (line.startsWith('-A ') && !line.startsWith(`-A ${PREFIX}`) && JUMP.test(line))
      jumps.push(line.replace('-A', '-D'))
    else if (line === 'COMMIT' && chains.length + jumps.length > 0) {
      // Declared again means emptied, so that none holds another back.
      const emptied = chains.map(chain => `:${chain} - [0:0]`)
      removals.set(table, [...emptied, ...jumps, ...chains.map(chain => `-X ${chain}`)])
    }
  }
  return removals
}

const JUMP = / -[jg] podf-\S+$/

async function ownSets(processes: Processes): Promise<readonly string[]> {
  try {
    return await listOwnSets({ processes })
  } catch {
    return []
  }
}

async function destroySets(processes: Processes, names: readonly string[]): Promise<readonly string[]> {
  let rest = names
  for (let attempt = 1; rest.length > 0; attempt++) {
    // One process a set would do as well; one for all is quick, and says nothing about those that go.
    await processes.run('ipset', ['-'], { input: rest.map(name => `destroy ${name}\n`).join('') })
    rest = await ownSets(processes)
    if (rest.length === 0 || attempt === TRIES) break
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  }
  return rest.map(name => `the set ${name} is still in use`)
}
