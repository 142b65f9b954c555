import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { type ObjectKind, printObjectName } from '../model/object-kind.ts'
import type { WrittenObject } from '../model/object-reader.ts'
import { writeObjects, writeReady } from '../source/object-writes.ts'
import type { Store } from '../source/store.ts'
import { isReady, READY_KEY } from '../source/v1-tree.ts'
import { objectsFrom } from './object-files.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSettings, ETCD_SETTINGS } from './setting-flags.ts'
import { readTree, withStore } from './store-access.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly filename: readonly string[]
  readonly output: string
  readonly dryRun?: true
  readonly ready: boolean
}

export function command(terminal: Terminal): Command {
  const apply = new Command('apply')
    .description(
      'Writes objects to etcd, all or none when one is invalid, and then declares the tree complete (its Ready key).',
    )
    .option('-f, --filename <path...>', 'file, directory, or - for stdin')
    .option('--dry-run', 'tell what would be written, and write nothing')
    .option('--no-ready', 'leave the Ready key alone')
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(apply, ETCD_SETTINGS).action(async (options: Options) => {
    if (options.filename === undefined)
      throw new PodfenceError('USAGE', 'Name the objects with -f FILE, DIR or -.')
    const objects = await objectsFrom(options.filename, terminal)
    const { settings } = await commandSettings(apply, terminal)
    await withStore(settings, store => write(store, objects, options, terminal))
  })
}

/**
 * In which order kinds are written: a tier becomes visible when its policies are there already, and
 * an endpoint when everything that it names is.
 */
const ORDER: readonly ObjectKind[] = [
  'Config',
  'Profile',
  'Policy',
  'Tier',
  'HostEndpoint',
  'WorkloadEndpoint',
]

type Outcome = 'created' | 'changed' | 'unchanged'

async function write(
  store: Store,
  objects: readonly WrittenObject[],
  options: Options,
  terminal: Terminal,
): Promise<void> {
  const { entries } = await readTree(store)
  const ordered = objects.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
  const rows = ordered.map(object => ({
    name: printObjectName(object.kind, object.metadata),
    outcome: outcomeOf(object, entries),
    changes: object.changes,
  }))
  const ready = options.ready && !isReady(entries.get(READY_KEY))
  if (!options.dryRun) {
    await writeObjects(
      store,
      rows.filter(({ outcome }) => outcome !== 'unchanged'),
    )
    if (ready) await writeReady(store)
  }
  if (options.output === 'json') {
    const written = rows.map(({ name, outcome }) => ({ object: name, outcome }))
    terminal.out(
      JSON.stringify({ schema: 1, dryRun: options.dryRun === true, objects: written, readyWritten: ready }),
    )
    return
  }
  const mark = options.dryRun ? ' (dry run)' : ''
  for (const { name, outcome } of rows) terminal.out(`${name} ${outcome}${mark}`)
  if (ready) terminal.out(`${READY_KEY} set${mark}`)
}

function outcomeOf({ changes }: WrittenObject, entries: ReadonlyMap<string, string>): Outcome {
  if (changes.every(({ key, value }) => (entries.get(key) ?? null) === value)) return 'unchanged'
  return changes.some(({ key }) => entries.has(key)) ? 'changed' : 'created'
}
