import type { Backend } from '../../src/kernel/backend.ts'
import type { Processes } from '../../src/kernel/process.ts'
import { type Lab, openLab } from '../../src/lab/lab.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import type { KeyChange } from '../../src/source/event.ts'
import { endpointValue, localKey, W0, W1 } from './bench-world.ts'
import type { Figure } from './figure.ts'
import { Side } from './side.ts'

/** The nodes of W1, of W0, of B9's three worlds, of B14's world in Kubernetes, and of B10's ways. */
const NODES = [
  ...['n1', 'n1-floor', 'n0', 'n0-floor', 'g0', 'g1', 'g2'],
  'k1',
  ...['p-bare', 'p-hook', 'p-track', 'p-routed', 'p-tree', 'p-bridge'],
]
/** Pods with real interfaces, beside W1's endpoints that exist in the store alone. */
const PODS = 24

/** What the benches of one backend play on. Opened as far as it is asked for. */
export class Ground {
  readonly backend: Backend
  readonly processes: Processes
  readonly lab: Lab
  /** Real pods on the node of W1: a client, one that accepts, one that does not, and new ones. */
  readonly pods: readonly LabPod[]
  #w0: Promise<Side> | null = null
  #w1: Promise<Side> | null = null

  private constructor(backend: Backend, processes: Processes, lab: Lab, pods: readonly LabPod[]) {
    this.backend = backend
    this.processes = processes
    this.lab = lab
    this.pods = pods
  }

  static async open(backend: Backend, processes: Processes): Promise<Ground> {
    const lab = await openLab({ nodes: NODES, backend }, processes)
    const names = Array.from({ length: PODS }, (_, index) => `pod${index}`)
    const pods = await lab.addPods(
      names.map(name => ({ name, node: lab.node('n1'), kind: 'routed' as const, address6: null })),
    )
    return new Ground(backend, processes, lab, pods)
  }

  /** The small world: its agent and store run beside those of W1, so that both can be asked in turn. */
  w0(): Promise<Side> {
    this.#w0 ??= Side.open(this.processes, this.lab, W0, { node: 'n0', port: 2479 })
    return this.#w0
  }

  w1(): Promise<Side> {
    const [client, accepting, refusing] = this.pods
    this.#w1 ??= Side.open(this.processes, this.lab, W1, {
      node: 'n1',
      port: 2379,
      extra: [podChange(client!, 'open'), podChange(accepting!, 'open'), podChange(refusing!, 'closed')],
    })
    return this.#w1
  }

  async close(): Promise<void> {
    await (await this.#w0)?.close()
    await (await this.#w1)?.close()
    await this.lab.close()
  }
}

/** Makes a real pod an endpoint of W1, with a profile that lets everything in, or nothing. */
export function podChange(pod: LabPod, profile: 'open' | 'closed'): KeyChange {
  const value = endpointValue(pod.interface, pod.address4!, {}, profile)
  return { key: localKey(pod.node.name, pod.name), value }
}

/** One bench: some figures on a ground. `say` tells what is being done while people wait. */
export type Bench = (ground: Ground, say: (text: string) => void) => Promise<readonly Figure[]>

export function rest(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
