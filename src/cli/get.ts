import { Command } from 'commander'
import { objectName } from '../model/object-kind.ts'
import { printObjects, type StoredObject, storedObjects } from '../model/object-text.ts'
import { chosenObjects, kindNamed } from './object-choice.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSettings } from './setting-flags.ts'
import { table } from './table.ts'
import type { Terminal } from './terminal.ts'
import { treeFrom } from './tree-origin.ts'

interface Options {
  readonly filename?: readonly string[]
  readonly output: string
  readonly from?: string
}

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const get = new Command('get')
    .description('Prints objects. Ends with 1 when one that was named is not there.')
    .argument('[kind]', 'only objects of this kind')
    .argument('[names...]', 'only these: TIER/NAME for a policy, NAME for a profile, ...')
    .option('-f, --filename <path...>', 'the objects that a file names, as they are in the store')
    .option('--from <where>', 'etcd, or a directory of objects (default: the source that is set)')
    .addOption(outputOption('table', 'yaml', 'json'))
  return addSettingFlags(get).action(async (kind: string | undefined, names: string[], options: Options) => {
    const named = kind === undefined ? [] : [kind, ...names]
    const chosen = await chosenObjects(named, options.filename ?? [], terminal)
    const { settings } = await commandSettings(get, terminal)
    const { entries } = await treeFrom(options.from, settings)
    const all = storedObjects(entries)
    const wanted = chosen.length > 0 ? new Set(chosen.map(({ kind, name }) => `${kind} ${name}`)) : null
    const only = wanted === null && kind !== undefined ? kindNamed(kind) : null
    const found = all.filter(
      object => wanted?.has(fullName(object)) ?? (only === null || object.kind === only),
    )
    print(found, options.output, terminal)
    const missing = [...(wanted ?? [])].filter(name => !found.some(object => fullName(object) === name))
    for (const name of missing) terminal.note(`${name} is not there.`)
    if (missing.length > 0) ended(1)
  })
}

function fullName({ kind, metadata }: StoredObject): string {
  return `${kind} ${objectName(kind, metadata)}`
}

function print(objects: readonly StoredObject[], output: string, terminal: Terminal): void {
  if (output === 'yaml') {
    if (objects.length > 0) terminal.out(printObjects(objects))
    return
  }
  if (output === 'json') {
    terminal.out(JSON.stringify({ schema: 1, objects }, null, 2))
    return
  }
  if (objects.length === 0) {
    terminal.note('There is no such object.')
    return
  }
  const rows = objects.map(object => [object.kind, objectName(object.kind, object.metadata), summary(object)])
  terminal.out(table(['KIND', 'NAME', 'SUMMARY'], rows))
}

/** What matters most of an object, in a few words. */
function summary({ kind, spec, unreadable }: StoredObject): string {
  if (unreadable.length > 0) return `cannot be read: ${unreadable.join(', ')}`
  switch (kind) {
    case 'WorkloadEndpoint':
    case 'HostEndpoint': {
      const addresses = [spec.ipv4_nets, spec.ipv6_nets, spec.expected_ipv4_addrs, spec.expected_ipv6_addrs]
      const list = addresses.flat().filter(address => typeof address === 'string')
      return [spec.name, list.join(','), profiles(spec.profile_ids)].filter(text => text).join(' ')
    }
    case 'Profile':
      return `${rules(spec.rules)}${Array.isArray(spec.tags) ? `, tags ${spec.tags.join(',')}` : ''}`
    case 'Policy':
      return `order ${spec.order ?? 'default'}, ${rules(spec)}, selects ${spec.selector ?? ''}`
    case 'Tier':
      return `order ${spec.order ?? 'default'}`
    case 'Config':
      return String(spec.value)
  }
}

function profiles(ids: unknown): string {
  return Array.isArray(ids) && ids.length > 0 ? `profiles ${ids.join(',')}` : ''
}

function rules(spec: unknown): string {
  const { inbound_rules, outbound_rules } = (spec ?? {}) as Record<string, unknown>
  const count = (list: unknown) => (Array.isArray(list) ? list.length : 0)
  return `${count(inbound_rules)} inbound and ${count(outbound_rules)} outbound rules`
}
