import type { Test } from 'tap'
import { type Child, systemProcesses } from '../../../src/kernel/process.ts'
import { AS_ON_A_NODE } from '../../../src/lab/commands.ts'
import { CLI } from '../../../src/lab/stage.ts'
import { freePorts } from '../../etcd.ts'

const PROCESSES = systemProcesses()

export interface ControllerWords {
  readonly kubeconfig: string
  readonly etcd: string
  /** Further flags. */
  readonly flags?: readonly string[]
}

/** One `podfence controller` as a process of its own, which ends with the test. */
export class ControllerProcess {
  readonly healthPort: number
  readonly metricsPort: number
  private readonly child: Child
  private readonly lines: string[] = []

  constructor(words: ControllerWords, ports: readonly [number, number]) {
    const [health, metrics] = ports
    this.healthPort = health
    this.metricsPort = metrics
    const flags = [
      ...['--kubeconfig', words.kubeconfig, '--etcd-endpoints', words.etcd, '--log-format', 'json'],
      ...['--health-address', `127.0.0.1:${health}`, '--metrics-address', `127.0.0.1:${metrics}`],
      ...(words.flags ?? []),
    ]
    const onLine = (line: string) => void this.lines.push(line)
    const [program, ...before] = AS_ON_A_NODE
    this.child = PROCESSES.start(program!, [...before, process.execPath, CLI, 'controller', ...flags], {
      onLine,
      onErrorLine: onLine,
    })
  }

  /** All that it has printed. */
  get said(): string {
    return this.lines.join('\n')
  }

  get pid(): number {
    return this.child.pid!
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name)
  }

  /** Resolves with its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.signal(signal)
    return (await this.child.ended).code
  }

  /** For teardown: also one that was stopped already, or stands still. */
  async end(): Promise<void> {
    this.child.kill()
    await this.child.ended
  }

  async metric(name: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.metricsPort}/metrics`).catch(() => null)
    const text = answer === null ? '' : await answer.text()
    return Number(new RegExp(`^podfence_${name} (.*)$`, 'm').exec(text)?.[1] ?? Number.NaN)
  }

  async health(probe: 'liveness' | 'readiness'): Promise<{ readonly code: number; readonly text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.healthPort}/${probe}`).catch(() => null)
    return answer === null ? { code: 0, text: '' } : { code: answer.status, text: await answer.text() }
  }
}

export async function startController(t: Test, words: ControllerWords): Promise<ControllerProcess> {
  const [health, metrics] = await freePorts(2)
  const controller = new ControllerProcess(words, [health!, metrics!])
  t.teardown(() => controller.end())
  return controller
}
