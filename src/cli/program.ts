import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { suggestion } from '../runtime/nearest.ts'
import { printFailure, wantsJson } from './failure.ts'
import type { Terminal } from './terminal.ts'
import { VERBS } from './verbs.ts'

/** Runs one command line (without node and the script) and answers the exit code. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode = 0
  const ended = (code: number) => {
    exitCode = code
  }
  try {
    const program = await programFor(args, terminal, ended)
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    return printFailure(error, terminal, wantsJson(args))
  }
  return exitCode
}

/** The program with the asked verb loaded and the others only named, for help. */
async function programFor(
  args: readonly string[],
  terminal: Terminal,
  ended: (code: number) => void,
): Promise<Command> {
  const program = new Command('podfence')
    .description('A node-local agent that enforces network policy in plain iptables chains and ipsets.')
    .option('--no-color', 'no colours (as NO_COLOR does)')
    .configureHelp({ subcommandTerm: command => command.name() })
  if (args.includes('--no-color')) process.env.NO_COLOR = '1'
  const asked = askedVerb(args)
  for (const { name, summary, load } of VERBS) {
    const stub = () => new Command(name).description(summary)
    const command = name === asked ? (await load()).command(terminal, ended) : stub()
    program.addCommand(command.summary(summary))
  }
  // Without a verb. Commander would take an unknown verb for an argument of this, so it was refused above.
  program.action(() => bare(terminal, ended))
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: text => terminal.out(text) })
  return program.helpCommand('help [verb]', 'what a verb does')
}

/** The verb that is run or asked about; null when there is none. Throws USAGE for an unknown one. */
function askedVerb(args: readonly string[]): string | null {
  const [first, second] = args.filter(arg => !arg.startsWith('-'))
  const verb = first === 'help' ? second : first
  if (verb === undefined) return null
  const names = VERBS.map(({ name }) => name)
  if (names.includes(verb)) return verb
  throw new PodfenceError('USAGE', `${verb} is no verb.${suggestion(verb, names)}`)
}

/** No verb: on a terminal the short status, as people know it from `wg`. */
async function bare(terminal: Terminal, ended: (code: number) => void): Promise<void> {
  if (!terminal.interactive) throw new PodfenceError('USAGE', 'No verb was given.')
  const { command } = await import('./status.ts')
  await command(terminal, ended).parseAsync([], { from: 'user' })
}
