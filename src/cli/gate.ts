import { Command } from 'commander'
import { systemProcesses } from '../kernel/process.ts'
import type { Family } from '../model/values.ts'
import { closeGate, type GateReport } from '../runtime/close-gate.ts'
import type { SettingName } from '../runtime/setting-table.ts'
import { resolveSettings, sourcesOf } from '../runtime/settings.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSources } from './setting-flags.ts'
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
    // A typing error in the store's address must not leave the node open.
    const sources = sourcesOf(await commandSources(gate, terminal), GATE_SETTINGS)
    const { settings } = resolveSettings(sources)
    const report = await closeGate(systemProcesses(), settings)
    if (options.output === 'json') terminal.out(JSON.stringify({ schema: 1, ...report }, null, 2))
    else terminal.out(reportText(report))
  })
}

function reportText({ backend, closed, standing }: GateReport): string {
  const named = (families: readonly Family[]) => families.map(family => `IPv${family}`).join(' and ')
  return [
    ...(closed.length > 0 ? [`workloads are closed now: ${named(closed)}, iptables-${backend}`] : []),
    ...(standing.length > 0 ? [`rules of podfence stand already: ${named(standing)}`] : []),
  ].join('\n')
}
