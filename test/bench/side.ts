import type { Processes } from '../../src/kernel/process.ts'
import type { Lab } from '../../src/lab/lab.ts'
import { type LabEtcd, openLabEtcd } from '../../src/lab/lab-etcd.ts'
import type { LabNode } from '../../src/lab/node.ts'
import type { KeyChange } from '../../src/source/event.ts'
import { READY_KEY } from '../../src/source/v1-tree.ts'
import { BareFloor } from './bare-floor.ts'
import { BenchAgent, type BenchAgentOptions } from './bench-agent.ts'
import { asChanges, type BenchWorld, benchEntries, writeAll } from './bench-world.ts'
import { emptyKernel, kernelPicture, loadKernel, ruleCount } from './kernel-copy.ts'

/** A world in a store of its own, the agent that enforces it, and beside it the bare floor on an equal kernel. */
export class Side {
  readonly world: BenchWorld
  readonly node: LabNode
  readonly floorNode: LabNode
  readonly etcd: LabEtcd
  readonly #processes: Processes
  #agent: BenchAgent | null = null
  #floor: BareFloor | null = null
  #revision: bigint

  private constructor(parts: {
    world: BenchWorld
    node: LabNode
    floorNode: LabNode
    etcd: LabEtcd
    processes: Processes
    revision: bigint
  }) {
    this.world = parts.world
    this.node = parts.node
    this.floorNode = parts.floorNode
    this.etcd = parts.etcd
    this.#processes = parts.processes
    this.#revision = parts.revision
  }

  /** `node` and `floorNode` (default `NODE-floor`) must be nodes of the laboratory; `extra`: further keys, of real pods. */
  static async open(
    processes: Processes,
    lab: Lab,
    world: BenchWorld,
    options: {
      readonly node: string
      readonly port: number
      readonly extra?: readonly KeyChange[]
      readonly floorNode?: string
    },
  ): Promise<Side> {
    const { node, port, extra = [], floorNode = `${node}-floor` } = options
    const etcd = await openLabEtcd(processes, lab.storeAddress4, port)
    const keys = asChanges(benchEntries(world, node)).filter(({ key }) => key !== READY_KEY)
    const revision = await writeAll(etcd.store, [...keys, ...extra, { key: READY_KEY, value: 'true' }])
    return new Side({
      world,
      node: lab.node(node),
      floorNode: lab.node(floorNode),
      etcd,
      processes,
      revision,
    })
  }

  /** The agent, started and in step with the store. */
  async agent(): Promise<BenchAgent> {
    if (this.#agent === null) {
      this.#agent = this.start()
      await this.#agent.enforced(this.#revision)
    }
    return this.#agent
  }

  /** A new agent; the one before must have ended. */
  start(more: Pick<BenchAgentOptions, 'flags' | 'preload'> = {}): BenchAgent {
    this.#agent = new BenchAgent(this.#processes, { node: this.node, etcd: this.etcd.endpoint, ...more })
    return this.#agent
  }

  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const agent = this.#agent
    this.#agent = null
    await agent?.stop(signal)
  }

  /** The revision of the last write through this side. */
  get revision(): bigint {
    return this.#revision
  }

  async write(changes: readonly KeyChange[]): Promise<bigint> {
    this.#revision = await writeAll(this.etcd.store, changes)
    return this.#revision
  }

  /** Milliseconds from the put until the agent has enforced it. */
  async time(changes: readonly KeyChange[]): Promise<number> {
    const agent = await this.agent()
    const began = performance.now()
    const revision = await this.write(changes)
    return (await agent.enforced(revision)) - began
  }

  /** The bare floor, on a kernel that equals the agent's as it is now. */
  async floor(): Promise<BareFloor> {
    if (this.#floor === null) {
      await this.agent()
      await emptyKernel(this.floorNode)
      await loadKernel(this.floorNode, await kernelPicture(this.node))
      this.#floor = await BareFloor.open(this.#processes, this.floorNode, this.etcd.endpoint, this.etcd.store)
    }
    return this.#floor
  }

  /** Ends the bare floor; its kernel can be used otherwise then. */
  async closeFloor(): Promise<void> {
    const floor = this.#floor
    this.#floor = null
    await floor?.close()
  }

  /** For the table's head: what the kernel holds. */
  async size(): Promise<string> {
    await this.agent()
    const picture = await kernelPicture(this.node)
    const sets = picture.sets.match(/^create /gm)?.length ?? 0
    const members = picture.sets.match(/^add /gm)?.length ?? 0
    return `${ruleCount(picture, 4)} IPv4 and ${ruleCount(picture, 6)} IPv6 rules, ${sets} sets with ${members} members`
  }

  async close(): Promise<void> {
    await this.closeFloor()
    await this.stopAgent()
    await this.etcd.close()
  }
}
