import { PodfenceError } from '../errors.ts'
import type { Ended, Processes, RunOptions } from '../kernel/process.ts'
import { insideSandbox } from './sandbox.ts'

/** Lines of `ip -batch` for one namespace (null: the sandbox's own), or a line of shell. */
export type Step =
  | { readonly namespace: string | null; readonly ip: readonly string[] }
  | { readonly shell: string }

/**
 * Before a program that is to run as it does on a node: a test runner hands its own modules down to every Node below it,
 * which cost each one seconds.
 */
export const AS_ON_A_NODE: readonly string[] = ['env', '-u', 'NODE_OPTIONS']

/** Runs commands in the sandbox, and fails aloud. */
export interface Commands {
  /** All steps in one shell, since starting a process from here costs more than most steps take. */
  script(steps: readonly Step[]): Promise<void>
  /** One command in the sandbox's own namespace. Throws PodfenceError on a bad exit. */
  run(command: readonly string[], options?: CommandOptions): Promise<Ended>
  /** One command in a namespace, with /sys as that namespace sees it. Throws PodfenceError on a bad exit. */
  runIn(namespace: string, command: readonly string[], options?: CommandOptions): Promise<Ended>
}

export interface CommandOptions extends RunOptions {
  /** A bad exit is returned instead of thrown. */
  readonly allowFailure?: boolean
}

/** Throws PodfenceError outside a sandbox: nothing here may ever touch the machine's own namespaces. */
export function sandboxCommands(processes: Processes): Commands {
  if (!insideSandbox())
    throw new PodfenceError('PREREQUISITE_MISSING', 'The laboratory can only be built inside its sandbox.')

  const run: Commands['run'] = async (command, options = {}) => {
    const { allowFailure = false, ...rest } = options
    const ended = await processes.run(command[0] ?? '', command.slice(1), rest)
    if (ended.code === 0 || allowFailure) return ended
    const reason = ended.missing
      ? 'no such program'
      : ended.stderr.trim() || `exit ${ended.code ?? ended.signal}`
    throw new PodfenceError(
      'PREREQUISITE_MISSING',
      `The laboratory could not run "${command.join(' ')}": ${reason}`,
    )
  }

  return {
    run,
    async script(steps) {
      await run(['sh', '-e'], { input: shellText(steps) })
    },
    runIn: (namespace, command, options) =>
      run(['ip', 'netns', 'exec', namespace, ...AS_ON_A_NODE, ...command], options),
  }
}

/** The steps as text for `sh -e`. */
export function shellText(steps: readonly Step[]): string {
  return steps
    .map(step => {
      if ('shell' in step) return `${step.shell}\n`
      const where = step.namespace === null ? '' : ` -n ${step.namespace}`
      if (step.ip.length === 0) return ''
      // ip names the failing line of a batch only by its number.
      const failed = `{ echo "in a batch that begins: ip${where} ${step.ip[0]}" >&2; exit 1; }`
      return `ip${where} -batch - <<'END' || ${failed}\n${step.ip.join('\n')}\nEND\n`
    })
    .join('')
}

/** A step that writes settings under /proc/sys/net of a namespace; those that do not exist there are left out. */
export function netSettings(namespace: string, settings: Readonly<Record<string, string | number>>): Step {
  const writes = Object.entries(settings).map(
    ([name, value]) => `[ ! -e /proc/sys/net/${name} ] || echo ${value} >/proc/sys/net/${name}`,
  )
  return { shell: `nsenter --net=/run/netns/${namespace} sh -e -c '${writes.join('; ')}'` }
}
