import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { systemProcesses } from '../kernel/process.ts'
import type { Family } from '../model/values.ts'
import { closeGate, type GateReport } from '../runtime/close-gate.ts'
import type { FileEntry } from '../runtime/setting-layers.ts'
import type { SettingName, Settings } from '../runtime/setting-table.ts'
import { resolveSettings, type SettingSources, sourcesOf } from '../runtime/settings.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSources, fileless } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

const GATE_SETTINGS: readonly SettingName[] = ['interfacePrefixes', 'bridges', 'backend', 'nodeToWorkload']

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
 * in the file is left out, the whole file where it cannot be read; `trouble` is then what is wrong. Throws CONFIG_INVALID
 * for wrong flags and variables.
 */
async function gateSettings(
  gate: Command,
  terminal: Terminal,
): Promise<{ settings: Settings; trouble: PodfenceError | null }> {
  const own = (sources: SettingSources) => resolveSettings(sourcesOf(sources, GATE_SETTINGS)).settings
  const bare = fileless(gate, terminal)
  let file: SettingSources['file'] = null
  try {
    file = (await commandSources(gate, terminal)).file
    return { settings: own({ ...bare, file }), trouble: null }
  } catch (error) {
    if (!isInvalid(error)) throw error
    const withEntries = (entries: readonly FileEntry[]) => ({ ...bare, file: file && { ...file, entries } })
    const right = (file?.entries ?? []).filter(entry => stands(() => own(withEntries([entry]))))
    const rest = withEntries(right)
    return { settings: own(stands(() => own(rest)) ? rest : bare), trouble: error }
  }
}

function isInvalid(error: unknown): error is PodfenceError {
  return error instanceof PodfenceError && error.code === 'CONFIG_INVALID'
}

function stands(resolve: () => unknown): boolean {
  try {
    resolve()
    return true
  } catch (error) {
    if (isInvalid(error)) return false
    throw error
  }
}

function reportText({ backend, closed, standing }: GateReport): string {
  const named = (families: readonly Family[]) => families.map(family => `IPv${family}`).join(' and ')
  return [
    ...(closed.length > 0 ? [`workloads are closed now: ${named(closed)}, iptables-${backend}`] : []),
    ...(standing.length > 0 ? [`rules of podfence stand already: ${named(standing)}`] : []),
  ].join('\n')
}
