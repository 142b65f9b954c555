import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { dirname } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PodfenceError } from '../errors.ts'
import type { Child, Ended, Processes } from '../kernel/process.ts'
import { AS_ON_A_NODE } from './commands.ts'
import type { LabNode } from './node.ts'
import type { Place, Probe } from './probe.ts'

export interface AgentCommand {
  readonly node: LabNode
  /** Program and arguments, as they would be typed on the node. */
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Names the log file; several programs on one node need several names. Default `agent`. */
  readonly name?: string
}

export interface ProgramCommand {
  /** Where it runs; `.` is the sandbox's own namespace, a store's place. */
  readonly at: Place
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly logFile: string
}

/** A program that lives in a namespace of the laboratory. */
export interface AgentProcess {
  readonly pid: number
  /** stdout and stderr since the log began; starts of the same name append. */
  log(): string
  signal(name: NodeJS.Signals): void
  /** SIGTERM, then SIGKILL when it has not ended within `patienceMs` (default 5000). */
  stop(patienceMs?: number): Promise<Ended>
  /** SIGKILL. */
  kill(): Promise<Ended>
  readonly ended: Promise<Ended>
  /**
   * Polls until `ready` says true. Throws PodfenceError with the log's end when the program ended
   * before or `timeoutMs` (default 15 000) is over.
   */
  waitUntil(ready: () => Promise<boolean>, timeoutMs?: number): Promise<void>
}

/** Starts a program on a node, with the node's own lock and log. */
export function startAgent(processes: Processes, agent: AgentCommand): AgentProcess {
  const { node, command, name = 'agent' } = agent
  const logFile = `${node.stateDirectory}/${name}.log`
  return startProgram(processes, { at: node, command, env: { ...node.env, ...agent.env }, logFile })
}

/** Starts a program anywhere in the laboratory. Throws PodfenceError when it cannot even be tried. */
export function startProgram(processes: Processes, program: ProgramCommand): AgentProcess {
  const { command, logFile } = program
  mkdirSync(dirname(logFile), { recursive: true })
  const { namespace } = program.at
  const settings = Object.entries(program.env ?? {}).map(([name, value]) => `${name}=${value}`)
  // Each of these programs becomes the next one, so the pid is the program's own; the log needs no reader.
  const enter = namespace === '.' ? [] : ['ip', 'netns', 'exec', namespace]
  const line = [
    ...enter,
    ...AS_ON_A_NODE,
    ...settings,
    'sh',
    '-c',
    'exec "$@" >>"$0" 2>&1',
    logFile,
    ...command,
  ]
  const child: Child = processes.start(line[0]!, line.slice(1))
  const { pid } = child
  if (pid === undefined)
    throw new PodfenceError('PREREQUISITE_MISSING', `${command[0]} could not be started.`)
  let over = false
  const ended = child.ended.then(end => {
    over = true
    return end
  })
  const log = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : '')
  const signal = (name: NodeJS.Signals) => void (over || process.kill(pid, name))
  return {
    pid,
    ended,
    log,
    signal,
    async stop(patienceMs = 5000) {
      signal('SIGTERM')
      const timer = setTimeout(() => signal('SIGKILL'), patienceMs)
      return ended.finally(() => clearTimeout(timer))
    },
    kill() {
      signal('SIGKILL')
      return ended
    },
    async waitUntil(ready, timeoutMs = 15_000) {
      const deadline = Date.now() + timeoutMs
      while (!(await ready())) {
        if (over || Date.now() > deadline) {
          const what = over ? 'ended before it was ready' : `was not ready after ${timeoutMs} ms`
          throw new PodfenceError('AGENT_UNREACHABLE', `${command.join(' ')} ${what}:\n${log().slice(-3000)}`)
        }
        await pause(20)
      }
    },
  }
}

/** Whether an HTTP server inside a node answers 2xx. */
export function httpReady(probe: Probe, node: LabNode, address: string, port: number, path: string) {
  return async (): Promise<boolean> => {
    const text = `GET ${path} HTTP/1.1\r\nHost: podfence\r\nConnection: close\r\n\r\n`
    const answer = await probe.exchange(node, { address, port, timeoutMs: 1000 }, text)
    return answer !== null && /^HTTP\/1\.\d 2/.test(answer)
  }
}

/** Whether an HTTP server on a unix socket answers 2xx; sockets in the file system know no network namespace. */
export function socketReady(socketPath: string, path: string) {
  return (): Promise<boolean> =>
    new Promise(resolve => {
      const asked = request({ socketPath, path, timeout: 1000 }, answer => {
        answer.resume()
        resolve(answer.statusCode !== undefined && answer.statusCode >= 200 && answer.statusCode < 300)
      })
      asked.on('error', () => resolve(false))
      asked.on('timeout', () => asked.destroy())
      asked.end()
    })
}

/** Whether a file is there and its text passes a test. */
export function fileReady(file: string, test: (text: string) => boolean) {
  return async (): Promise<boolean> => existsSync(file) && test(readFileSync(file, 'utf8'))
}
