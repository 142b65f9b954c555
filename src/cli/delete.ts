import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import type { ObjectKind } from '../model/object-kind.ts'
import { writeObjects } from '../source/object-writes.ts'
import type { Store } from '../source/store.ts'
import { type ChosenObject, chosenObjects } from './object-choice.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSettings, ETCD_SETTINGS } from './setting-flags.ts'
import { readTree, withStore } from './store-access.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly filename?: readonly string[]
  readonly output: string
  readonly dryRun?: true
}

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const remove = new Command('delete')
    .description('Removes objects from etcd. Ends with 1 when one of them is not there.')
    .argument('[kind]', 'kind of the objects named after it')
    .argument('[names...]', 'TIER/NAME for a policy, NAME for a profile, ...')
    .option('-f, --filename <path...>', 'the objects of a file, a directory, or - for stdin')
    .option('--dry-run', 'tell what would be removed, and remove nothing')
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(remove, ETCD_SETTINGS).action(
    async (kind: string | undefined, names: string[], options: Options) => {
      const words = kind === undefined ? [] : [kind, ...names]
      const objects = await chosenObjects(words, options.filename ?? [], terminal)
      if (objects.length === 0)
        throw new PodfenceError('USAGE', 'Name what to remove: KIND NAME..., or -f FILE.')
      const { settings } = await commandSettings(remove, terminal)
      const missing = await withStore(settings, store => removeFrom(store, objects, options, terminal))
      if (missing) ended(1)
    },
  )
}

/** The reverse of how `apply` writes: nothing is removed before what it serves. */
const ORDER: readonly ObjectKind[] = [
  'WorkloadEndpoint',
  'HostEndpoint',
  'Tier',
  'Policy',
  'Profile',
  'Config',
]

async function removeFrom(
  store: Store,
  objects: readonly ChosenObject[],
  options: Options,
  terminal: Terminal,
): Promise<boolean> {
  const { entries } = await readTree(store)
  const ordered = objects.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
  const rows = ordered.map(({ kind, name, keys }) => {
    const there = keys.filter(key => entries.has(key))
    return { name: `${kind} ${name}`, changes: there.map(key => ({ key, value: null })) }
  })
  const present = rows.filter(({ changes }) => changes.length > 0)
  if (!options.dryRun) await writeObjects(store, present)
  const results = rows.map(({ name, changes }) => ({
    object: name,
    outcome: changes.length > 0 ? 'deleted' : 'absent',
  }))
  if (options.output === 'json')
    terminal.out(JSON.stringify({ schema: 1, dryRun: options.dryRun === true, objects: results }))
  else
    for (const { object, outcome } of results)
      terminal.out(`${object} ${outcome}${options.dryRun ? ' (dry run)' : ''}`)
  return present.length < rows.length
}
