import { Command } from 'commander'
import { addSettingFlags, commandSources } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const agent = new Command('agent').description(
    'Watches the source and enforces its policy in the kernel of this node until it gets SIGTERM. The rules stand then, ' +
      'unless cleanupOnExit is on. SIGHUP reads the settings again.',
  )
  return addSettingFlags(agent).action(async () => {
    const { runAgent } = await import('../agent.ts')
    ended(await runAgent(() => commandSources(agent, terminal)))
  })
}
