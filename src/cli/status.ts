import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { duration } from '../runtime/setting-kinds.ts'
import { STATUS_FILE, type Status } from '../runtime/status.ts'
import { AgentClient } from './agent-client.ts'
import { outputOption } from './output.ts'
import { addSettingFlags, commandSettings } from './setting-flags.ts'
import { statusText } from './status-text.ts'
import type { Terminal } from './terminal.ts'

const timeout = duration(0, 24 * 3_600_000)

interface Options {
  readonly output: string
  readonly wait?: true
  readonly timeout: string
  readonly verbose?: true
}

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const status = new Command('status')
    .description(
      'Prints what the agent of this node does. Ends with 0 when it is ready and the kernel has taken everything, 1 when not, 5 when there is none.',
    )
    .addOption(outputOption('table', 'json'))
    .option('-v, --verbose', 'every endpoint and every rejection')
    .option('--wait', 'wait until the agent is ready: in sync, and everything enforced')
    .option('--timeout <duration>', 'how long to wait', '60s')
  return addSettingFlags(status, ['runDir']).action(async (options: Options) => {
    const { runDir } = (await commandSettings(status, terminal)).settings
    const said = options.wait ? await awaited(runDir, options.timeout) : await asked(runDir, terminal)
    if (options.output === 'json') terminal.out(JSON.stringify(said, null, 2))
    else terminal.out(statusText(said, options.verbose === true, terminal.paint))
    if (!isReady(said)) ended(1)
  })
}

/** Ready, and the kernel has acknowledged everything that was seen: nothing is on its way, refused or short. */
export function isReady(status: Status): boolean {
  return status.health.ready.healthy && status.sync.inSync && status.enforcedRevision === status.revision
}

async function asked(runDir: string, terminal: Terminal): Promise<Status> {
  try {
    return await new AgentClient(runDir).status()
  } catch (error) {
    const last = await lastWritten(runDir)
    if (last !== null)
      terminal.note(
        `The agent last wrote its status at ${last.writtenAt} (process ${last.pid}); its rules still stand in the kernel.`,
      )
    throw error
  }
}

async function lastWritten(runDir: string): Promise<Status | null> {
  try {
    return JSON.parse(await readFile(join(runDir, STATUS_FILE), 'utf8')) as Status
  } catch {
    return null
  }
}

const POLL_MS = 200

/** The status as soon as it is ready. Throws AGENT_UNREACHABLE when the time is over. */
async function awaited(runDir: string, text: string): Promise<Status> {
  const client = new AgentClient(runDir)
  const until = performance.now() + milliseconds(text)
  for (;;) {
    const said = await client.status().catch((error: Error) => error)
    const late = performance.now() >= until
    if (!(said instanceof Error) && (isReady(said) || late)) return said
    if (late) throw said
    await sleep(POLL_MS)
  }
}

function milliseconds(text: string): number {
  try {
    return timeout.parse(text)
  } catch (error) {
    throw new PodfenceError('USAGE', `--timeout ${(error as Error).message}`)
  }
}
