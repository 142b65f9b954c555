import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { runCommandLine } from '../../../src/cli/program.ts'
import { AS_ON_A_NODE } from '../../../src/lab/commands.ts'

const ROOT = join(import.meta.dirname, '../../..')
const SCRIPT = join(ROOT, '.ci/podfence')
const MAIN = join(ROOT, 'dist/cli/main.js')

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface RunOptions {
  /** What stdin holds. */
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

/** No settings file of this machine. */
const BARE = { PODFENCE_CONFIG: '/dev/null' }

/** Runs a command line in this process, which saves the start of another for each of many cases. */
export async function podfence(
  args: readonly string[],
  { input = '', env = {} }: RunOptions = {},
): Promise<Ran> {
  let out = ''
  let err = ''
  const line = (text: string) => (text.endsWith('\n') ? text : `${text}\n`)
  const code = await runCommandLine(args, {
    out: text => {
      out += line(text)
    },
    note: text => {
      err += line(text)
    },
    async *lines() {
      yield* input.split('\n')
    },
    input: async () => input,
    env: { ...BARE, ...env },
    interactive: false,
    paint: (_, text) => text,
  })
  return { code, out, err }
}

/** Builds when a source is newer than the build. Throws with the compiler's words when that fails. */
export function build(): void {
  const { status, stderr } = spawnSync(SCRIPT, ['version'], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}

/** Runs the built command line as people do. */
export function built(args: readonly string[], { input = '', env = {} }: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const [program, ...before] = AS_ON_A_NODE
    const child = spawn(program!, [...before, process.execPath, MAIN, ...args], {
      env: { PATH: process.env.PATH, ...BARE, ...env },
    })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    child.on('error', reject)
    child.on('close', code => resolve({ code, out, err }))
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}
