import { execa, execaSync } from 'execa'

/** How a program ended. `missing`: there is no such program. `code` is null after a signal or when missing. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly timedOut: boolean
  readonly missing: boolean
}

export interface RunOptions {
  /** Text for its stdin; without it stdin is empty. */
  readonly input?: string
  /** Killed after so long, since a hung tool must never hang the agent. Default 60 s. */
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
  /** Ends with this process, however that ends: for what must not come through behind a successor's back. */
  readonly tied?: boolean
}

export interface ChildHandlers {
  /** One call per line of stdout, without its newline. */
  readonly onLine?: (line: string) => void
  readonly onErrorLine?: (line: string) => void
}

/** A program that lives on, and ends with this process. Writing to one that has ended is ignored; its end tells. */
export interface Child {
  readonly pid: number | undefined
  write(text: string): void
  /** Closes its stdin, which asks every tool here to end. */
  end(): void
  kill(): void
  /** Resolves, and never rejects, when it has ended and all its output was delivered. */
  readonly ended: Promise<Ended>
}

/** The seam through which everything here reaches the system; tests put slow and failing tools behind it. */
export interface Processes {
  run(file: string, args: readonly string[], options?: RunOptions): Promise<Ended>
  start(file: string, args: readonly string[], handlers?: ChildHandlers): Child
  /** Kills what still runs. */
  stopAll(): void
}

interface Settled {
  readonly exitCode?: number | undefined
  readonly signal?: string | undefined
  readonly stdout?: unknown
  readonly stderr?: unknown
  readonly timedOut?: boolean
  readonly code?: string | undefined
}

/**
 * The real thing. Every child inherits the environment (XTABLES_LOCKFILE among it), speaks English
 * (its messages are parsed) and is killed when this process ends in an orderly way. What lives on is killed by
 * the kernel as well when this process is: a tool that waits for the lock, or has not read all that it was given,
 * would else write an old state over that of the next agent.
 */
export function systemProcesses(env: Readonly<Record<string, string>> = {}): Processes {
  const living = new Set<{ kill(signal: 'SIGKILL'): boolean }>()
  const common = {
    reject: false,
    stripFinalNewline: false,
    killSignal: 'SIGKILL',
    maxBuffer: 512 * 1024 * 1024,
  } as const
  const environment = (more: Readonly<Record<string, string>> = {}) => ({ ...env, ...more, LC_ALL: 'C' })
  let tie: readonly string[] | null = null
  const tied = (file: string, args: readonly string[]): [string, string[]] => {
    tie ??= findTie()
    const [program = file, ...rest] = [...tie, file, ...args]
    return [program, rest]
  }

  return {
    async run(file, args, options = {}) {
      const child = execa(...(options.tied ? tied(file, args) : ([file, [...args]] as const)), {
        ...common,
        ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
        timeout: options.timeoutMs ?? 60_000,
        env: environment(options.env),
      })
      living.add(child)
      const result = await child
      living.delete(child)
      return (options.tied ? endedTied : ended)(result, asText(result.stdout), asText(result.stderr))
    },

    start(file, args, handlers = {}) {
      const child = execa(...tied(file, args), { ...common, buffer: false, env: environment() })
      living.add(child)
      // A write may meet a closed pipe when the tool has just failed; `ended` carries the news.
      child.stdin.on('error', () => {})
      const out = deliverLines(child.stdout, handlers.onLine)
      const err = deliverLines(child.stderr, handlers.onErrorLine)
      return {
        pid: child.pid,
        write: text => void (child.stdin.writable && child.stdin.write(text)),
        end: () => void child.stdin.end(),
        kill: () => void child.kill('SIGKILL'),
        ended: Promise.all([child, out, err]).then(([result]) => {
          living.delete(child)
          return endedTied(result, '', '')
        }),
      }
    },

    stopAll() {
      for (const child of living) child.kill('SIGKILL')
    },
  }
}

/**
 * A program whose stdout and stderr are this process's own, its stdin the caller's: for running the same
 * program again elsewhere, with its output reaching the terminal untouched. Not killed by `stopAll`.
 */
export function foreground(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Child {
  const child = execa(file, [...args], {
    reject: false,
    killSignal: 'SIGKILL',
    stdin: 'pipe',
    stdout: 'inherit',
    stderr: 'inherit',
    env: { ...env },
  })
  child.stdin.on('error', () => {})
  return {
    pid: child.pid,
    write: text => void (child.stdin.writable && child.stdin.write(text)),
    end: () => void child.stdin.end(),
    kill: () => void child.kill('SIGKILL'),
    ended: child.then(result => ended(result, '', '')),
  }
}

const TIE = ['setpriv', '--pdeathsig', 'KILL'] as const

/** The words before a command that tie it to this process; none where this system has no such program. */
function findTie(): readonly string[] {
  const [program, ...args] = TIE
  return execaSync(program, [...args, 'true'], { reject: false }).exitCode === 0 ? TIE : []
}

/** A tied program is started by another one, which ends so when there is none of this name. */
function endedTied(result: Settled, stdout: string, stderr: string): Ended {
  const end = ended(result, stdout, stderr)
  return end.code === 127 ? { ...end, code: null, missing: true } : end
}

function ended(result: Settled, stdout: string, stderr: string): Ended {
  return {
    code: result.exitCode ?? null,
    signal: result.signal ?? null,
    stdout,
    stderr,
    timedOut: result.timedOut ?? false,
    missing: result.code === 'ENOENT',
  }
}

function asText(output: unknown): string {
  return typeof output === 'string' ? output : ''
}

/** The event loop is given back after so long: a hundred thousand lines take longer than a probe may wait. */
const SLICE_MS = 8

/** Cuts a stream into lines; resolves when it has ended. A last line without a newline counts. */
function deliverLines(stream: NodeJS.ReadableStream, deliver: ((line: string) => void) | undefined) {
  let rest = ''
  let sliceEnds = 0
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    if (deliver === undefined) return
    const began = performance.now()
    // A pause since the last piece, or the first.
    if (began > sliceEnds + SLICE_MS) sliceEnds = began + SLICE_MS
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) deliver(line)
    if (performance.now() < sliceEnds) return
    stream.pause()
    setImmediate(() => {
      sliceEnds = performance.now() + SLICE_MS
      stream.resume()
    })
  })
  return new Promise<void>(resolve => {
    stream.on('close', () => {
      if (rest !== '') deliver?.(rest)
      resolve()
    })
    stream.on('error', () => resolve())
  })
}
