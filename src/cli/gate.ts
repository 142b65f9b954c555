import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { systemProcesses } from '../kernel/process.ts'
import type { Family } from '../model/values.ts'
import { closeGate, type GateReport } from '../runtime/close-gate.ts'
import { environmentLayer, fileLayer } from '../runtime/setting-layers.ts'
import { type SettingName, type Settings, settingOf, variableOf } from '../runtime/setting-table.ts'
import { resolveSettings, type SettingSources, sourcesOf } from '../runtime/settings.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSources, fileless } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

/** What decides whom `podfence gate` closes, and the agent before its first sync. */
export const GATE_SETTINGS: readonly SettingName[] = [
  'interfacePrefixes',
  'bridges',
  'backend',
  'nodeToWorkload',
]

export function command(terminal: Terminal): Command {
  const gate = new Command('gate')
    .description(
      'Closes the workloads of this node in each address family in which no rules of podfence stand, and ends. It needs ' +
        'no store: for a boot, from before the network is up until the agent is in sync. `podfence cleanup` opens.',
    )
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(gate, GATE_SETTINGS).action(async (options: { output: string }) => {
    const { settings, trouble } = await gateSettings(gate, terminal)
    const report = await closeGate(systemProcesses(), settings)
    if (options.output === 'json') terminal.out(JSON.stringify({ schema: 1, ...report }, null, 2))
    else terminal.out(reportText(report))
    if (trouble !== null) throw trouble
  })
}

/**
 * A typing error must not leave the node open: settings that are not the gate's own are not looked at, and what is wrong
 * in the environment and the file is left out, the whole file where it cannot be read. A name that no setting has counts
 * as wrong, since a setting of the gate may be meant. `trouble` is then what is wrong. Throws CONFIG_INVALID for wrong flags.
 */
async function gateSettings(
  gate: Command,
  terminal: Terminal,
): Promise<{ settings: Settings; trouble: PodfenceError | null }> {
  const bare = fileless(gate, terminal)
  const read = await commandSources(gate, terminal).catch(invalid)
  const { env, file } = read instanceof PodfenceError ? bare : read
  const own = ([env, file]: Inherited) =>
    resolveSettings(sourcesOf({ ...bare, env, file }, GATE_SETTINGS)).settings
  const fault = faultOf(() => own([env, file]))
  const faults = [
    ...(read instanceof PodfenceError ? [read.message] : []),
    ...environmentLayer(env).errors,
    ...(file === null ? [] : fileLayer(file.path, file.entries).errors),
    ...(fault === null ? [] : [fault]),
  ]
  const variables = rightOf(env)
  const rest = file && { ...file, entries: file.entries.filter(({ name, raw }) => parses(name, raw)) }
  // What can be read may still contradict the rest: then the environment, which is nearer, holds.
  const choices: Inherited[] = [
    [env, file],
    [variables, rest],
    [variables, null],
  ]
  const settings = own(choices.find(choice => faultOf(() => own(choice)) === null) ?? [{}, null])
  return {
    settings,
    trouble: faults.length === 0 ? null : new PodfenceError('CONFIG_INVALID', faults.join('\n')),
  }
}

/** What settings come from besides flags. */
type Inherited = readonly [env: SettingSources['env'], file: SettingSources['file']]

function rightOf(env: SettingSources['env']): SettingSources['env'] {
  const nameOf = new Map<string, SettingName>(GATE_SETTINGS.map(name => [variableOf(name), name]))
  return Object.fromEntries(
    Object.entries(env).filter(([variable, value]) => parses(nameOf.get(variable) ?? '', value)),
  )
}

/** Whether the gate's setting of this name takes the value; what is not the gate's does no harm. */
function parses(name: string, value: unknown): boolean {
  const own = GATE_SETTINGS.find(known => known === name)
  try {
    if (own !== undefined) settingOf(own).kind.parse(value)
    return true
  } catch {
    return false
  }
}

/** What CONFIG_INVALID says of it; null: it is right. */
function faultOf(resolve: () => unknown): string | null {
  try {
    resolve()
    return null
  } catch (error) {
    return invalid(error).message
  }
}

function invalid(error: unknown): PodfenceError {
  if (error instanceof PodfenceError && error.code === 'CONFIG_INVALID') return error
  throw error
}

function reportText({ backend, closed, standing }: GateReport): string {
  const named = (families: readonly Family[]) => families.map(family => `IPv${family}`).join(' and ')
  return [
    ...(closed.length > 0 ? [`workloads are closed now: ${named(closed)}, iptables-${backend}`] : []),
    ...(standing.length > 0 ? [`rules of podfence stand already: ${named(standing)}`] : []),
  ].join('\n')
}
