import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { type CleanupReport, cleanUp } from '../kernel/cleanup.ts'
import { systemProcesses } from '../kernel/process.ts'
import { AgentClient } from './agent-client.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSettings } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly output: string
  readonly dryRun?: true
  readonly force?: true
}

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const cleanup = new Command('cleanup')
    .description(
      'Removes every chain, jump and set of podfence from this network namespace, in both iptables backends. ' +
        'It needs no store. The workloads are open then.',
    )
    .option('--dry-run', 'tell what would be removed, and remove nothing')
    .option('--force', 'also while an agent is running (it puts everything back)')
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(cleanup, ['runDir']).action(async (options: Options) => {
    const { settings } = await commandSettings(cleanup, terminal)
    if (!options.force && !options.dryRun) await refuseBesideAgent(settings.runDir)
    const report = await cleanUp(systemProcesses(), { dryRun: options.dryRun === true })
    if (options.output === 'json') terminal.out(JSON.stringify({ schema: 1, ...report }, null, 2))
    else terminal.out(reportText(report, options.dryRun === true))
    for (const sentence of report.left) terminal.note(`still there: ${sentence}`)
    if (report.left.length > 0) ended(1)
  })
}

async function refuseBesideAgent(runDir: string): Promise<void> {
  const status = await new AgentClient(runDir).status().catch(() => null)
  if (status !== null)
    throw new PodfenceError(
      'USAGE',
      `An agent is running (process ${status.pid}) and would put everything back.`,
      {
        next: 'Stop it first, or give --force.',
      },
    )
}

function reportText({ removals, sets }: CleanupReport, dryRun: boolean): string {
  if (removals.length === 0 && sets.length === 0) return 'nothing of podfence is here'
  // Each removal is the text that the tool gets, so a dry run shows exactly what would be done.
  const lines = removals.flatMap(removal => [`# ${removal.tool}`, ...removal.lines])
  if (sets.length > 0) lines.push('# ipset', ...sets.map(set => `destroy ${set}`))
  return [...lines, dryRun ? 'nothing was removed (dry run)' : 'removed'].join('\n')
}
