import { Command } from 'commander'
import { CONTROLLER_METRICS } from '../runtime/controller/metric-table.ts'
import { metricsMarkdown } from '../runtime/metric-table.ts'
import { settingRows, settingsMarkdown } from '../runtime/settings-text.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSettings } from './setting-flags.ts'
import { table } from './table.ts'
import type { Terminal } from './terminal.ts'

export function command(terminal: Terminal): Command {
  const config = new Command('config')
    .description(
      'Prints every setting with its value and where that came from: flag, variable, file or default. ' +
        'What a running agent took from its store shows in `podfence status`.',
    )
    .addOption(outputOption('table', 'json'))
    .option('--markdown', "print the README's table of settings")
    .option('--metrics-markdown', "print the README's tables of metrics")
  return addSettingFlags(config).action(
    async (options: { output: string; markdown?: true; metricsMarkdown?: true }) => {
      if (options.markdown) terminal.out(settingsMarkdown())
      else if (options.metricsMarkdown)
        terminal.out(`${metricsMarkdown()}\n\n${metricsMarkdown(CONTROLLER_METRICS)}`)
      else await print(config, options.output, terminal)
    },
  )
}

async function print(config: Command, output: string, terminal: Terminal): Promise<void> {
  const rows = settingRows(await commandSettings(config, terminal))
  if (output === 'json') {
    const settings = rows.map(({ name, value, origin }) => ({
      name,
      value,
      origin: origin.kind,
      where: origin.where,
    }))
    terminal.out(JSON.stringify({ schema: 1, settings }, null, 2))
    return
  }
  const cells = rows.map(({ name, value, origin }) => {
    const where = origin.kind === 'flag' ? `flag ${origin.where}` : origin.where
    return [name, value, origin.kind === 'default' ? terminal.paint('dim', where) : where]
  })
  terminal.out(table(['SETTING', 'VALUE', 'ORIGIN'], cells))
}
