import { Command, Option } from 'commander'
import { PodfenceError } from '../errors.ts'
import { CONFIG_VARIABLE } from '../runtime/setting-layers.ts'
import { SETTING_NAMES, variableOf } from '../runtime/setting-table.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly backend: 'nft' | 'legacy'
}

/** The demo: the same program, played in a sandbox of its own. */
export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  return new Command('demo')
    .description(
      'Shows pods, packets and policy on this machine, in network namespaces of its own, in under a minute. ' +
        'Nothing of the machine is touched and nothing is left behind.',
    )
    .addOption(
      new Option('--backend <backend>', 'which iptables to use').choices(['nft', 'legacy']).default('nft'),
    )
    .action(async ({ backend }: Options) => {
      const [{ enterSandbox }, { systemProcesses }, { playDemo }] = await Promise.all([
        import('../lab/sandbox.ts'),
        import('../kernel/process.ts'),
        import('../lab/demo.ts'),
      ])
      const { skip } = await enterSandbox()
      if (skip !== false)
        throw new PodfenceError('PREREQUISITE_MISSING', `The demo cannot run here: it ${skip}.`)
      // The demo's agents have settings of their own, whatever this host's are.
      for (const name of SETTING_NAMES) delete process.env[variableOf(name)]
      process.env[CONFIG_VARIABLE] = '/dev/null'
      const processes = systemProcesses()
      try {
        const wrong = await playDemo(processes, backend, {
          heading: text => terminal.out(`\n${terminal.paint('bold', text)}`),
          say: text => terminal.out(text),
          progress: text => terminal.note(terminal.paint('dim', `... ${text}`)),
          explain: explainText,
        })
        if (wrong > 0) ended(1)
      } finally {
        processes.stopAll()
      }
    })
}

/** The running agent's answer, as `podfence explain` prints it. */
async function explainText(
  runDir: string,
  source: string,
  destination: string,
  port: number,
): Promise<string> {
  const { AgentClient } = await import('./agent-client.ts')
  const question = { source, destination, protocol: 6, destinationPort: port }
  const { verdict } = await new AgentClient(runDir).explain(question)
  const head = `  ${verdict.allow ? 'allowed' : 'denied'} by ${verdict.by}`
  return [head, ...verdict.trail.map(({ at, what }) => `    ${at}: ${what}`)].join('\n')
}
