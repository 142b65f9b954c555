import { Command } from 'commander'
import { podfenceVersion } from '../runtime/version.ts'
import { outputOption } from './output.ts'
import type { Terminal } from './terminal.ts'

export function command(terminal: Terminal): Command {
  return new Command('version')
    .description('Prints the version of podfence.')
    .addOption(outputOption('text', 'json'))
    .action((options: { output: string }) => {
      const version = podfenceVersion()
      if (options.output === 'json')
        terminal.out(JSON.stringify({ schema: 1, version, node: process.version }))
      else terminal.out(`podfence ${version}`)
    })
}
