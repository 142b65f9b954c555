import { AgentClient } from '../../src/cli/agent-client.ts'
import { PodfenceError } from '../../src/errors.ts'
import type { Backend } from '../../src/kernel/backend.ts'
import type { Processes } from '../../src/kernel/process.ts'
import { openStage, type Stage } from '../../src/lab/stage.ts'
import { worldChanges } from '../../src/lab/world.ts'
import { parseProtocol } from '../../src/model/protocol.ts'
import { cutSetName } from '../../src/render/sets.ts'
import { READY_KEY } from '../../src/source/v1-tree.ts'
import { type CaseNode, type CasePod, type Expectation, ownAddress } from './case.ts'
import { nodeRequests } from './kernel-plan.ts'
import { KernelPods, type PodDifference } from './kernel-pods.ts'
import type { End, Question } from './kernel-questions.ts'
import { prepareCalls, serveCalls } from './kernel-services.ts'

/** Agents start while everything else does; and nothing here is a measure of speed. */
const PATIENCE_MS = 120_000

/** The nodes of a case as network namespaces, each with a real agent, the store that they watch, and the pods of now. */
export class KernelGround {
  readonly stage: Stage
  readonly pods: KernelPods
  readonly #nodes: readonly CaseNode[]
  #shown: ReadonlyMap<string, string> = new Map()
  /** Servers that listen: `NAMESPACE PROTOCOL PORT ADDRESS`. */
  readonly #servers = new Map<string, Promise<void>>()
  readonly #adopted = new Set<string>()
  #calls: 'none' | 'empty' | 'some' = 'none'

  private constructor(stage: Stage, nodes: readonly CaseNode[]) {
    this.stage = stage
    this.pods = new KernelPods(stage.lab)
    this.#nodes = nodes
  }

  static async open(
    nodes: readonly CaseNode[],
    backend: Backend,
    processes: Processes,
  ): Promise<KernelGround> {
    const stage = await openStage(
      { backend, nodes: nodeRequests(nodes), flags: ['--bridges', 'cbr0'] },
      processes,
    )
    return new KernelGround(stage, nodes)
  }

  /** Whether these are its nodes, and an agent runs on each. */
  stands(nodes: readonly CaseNode[]): boolean {
    return JSON.stringify(nodes) === JSON.stringify(this.#nodes) && this.#agentsRun
  }

  get #agentsRun(): boolean {
    const { agents, lab } = this.stage
    return agents.size === lab.nodes.length
  }

  /** Builds the pods of now; returns who has gone and who has come, by `NAMESPACE/NAME`. */
  async become(pods: readonly CasePod[]): Promise<PodDifference> {
    const difference = await this.pods.become(pods)
    const gone = new Set([...difference.gone.values()].map(({ namespace }) => namespace))
    for (const server of this.#servers.keys())
      if (gone.has(server.slice(0, server.indexOf(' ')))) this.#servers.delete(server)
    return difference
  }

  /** Makes the store hold this tree, and waits until every agent says that it is enforced. */
  async show(tree: ReadonlyMap<string, string>): Promise<void> {
    const wanted = new Map([...tree, [READY_KEY, 'true']])
    const changes = worldChanges(this.#shown, wanted)
    this.#shown = wanted
    if (changes.length > 0) await this.stage.write(changes, false)
    await this.stage.enforced(PATIENCE_MS)
    // Where an agent has ended its last rules stand, which may look right.
    if (!this.#agentsRun)
      throw new PodfenceError('AGENT_UNREACHABLE', `An agent has ended; ${this.stage.agents.size} still run.`)
  }

  /** One end of a packet; null where there is no such place, or none with an address of that family. */
  end(text: string, family: Expectation['family'], pods: readonly CasePod[]): End | null {
    const { lab } = this.stage
    if (text.startsWith('ext:'))
      return { namespace: lab.external.namespace, address: text.slice(4), bound: true, node: null }
    const nodeEnd = (name: string): End | null => {
      const address = ownAddress(this.#nodes.find(each => each.name === name)?.ips ?? [], family)
      if (address === null) return null
      const node = lab.node(name)
      return { namespace: node.namespace, address, bound: false, node }
    }
    if (text.startsWith('node:')) return nodeEnd(text.slice(5))
    const pod = pods.find(({ ns, name }) => `${ns}/${name}` === text)
    if (pod?.hostNetwork) return nodeEnd(pod.node)
    const place = this.pods.standing.get(text)
    const address = family === 'IPv4' ? place?.address4 : place?.address6
    if (place === undefined || address == null) return null
    return { namespace: place.namespace, address, bound: false, node: place.node }
  }

  /** Gets the places ready: what is asked of them listens, who asks from outside has the address, services lead there. */
  async prepare(questions: readonly Question[]): Promise<void> {
    const { lab } = this.stage
    const outside = questions
      .flatMap(({ from, to }) => [from, to])
      .filter(({ namespace, address }) => namespace === lab.external.namespace && !this.#adopted.has(address))
    const strangers = [...new Set(outside.map(({ address }) => address))]
    if (strangers.length > 0) await lab.external.adopt(strangers)
    for (const address of strangers) this.#adopted.add(address)
    await Promise.all(questions.map(question => this.#serve(question)))
    await this.#lead(questions)
  }

  #serve({ protocol, to, expected: { port } }: Question): Promise<void> {
    if (protocol === 'sctp') return Promise.resolve()
    const { namespace, address } = to
    const server = [namespace, protocol, port, address].join(' ')
    const serving =
      this.#servers.get(server) ?? this.stage.lab.probe.listen({ namespace }, { protocol, port, address })
    this.#servers.set(server, serving)
    return serving
  }

  async #lead(questions: readonly Question[]): Promise<void> {
    const calls = questions
      .filter(({ expected }) => expected.via !== undefined)
      .map(({ family, protocol, sourcePort, called, to, expected }) => ({
        ...{ family, protocol, sourcePort, ...called },
        server: to.address,
        serverPort: expected.port,
      }))
    if (calls.length === 0 && this.#calls !== 'some') return
    const { nodes } = this.stage.lab
    if (this.#calls === 'none') await Promise.all(nodes.map(prepareCalls))
    await Promise.all(nodes.map(node => serveCalls(node, calls)))
    this.#calls = calls.length > 0 ? 'some' : 'empty'
  }

  /** What the agents of both ends say of a packet, and what is closed there since something open was cut. */
  async explain({ from, to, family, protocol, expected }: Question): Promise<readonly string[]> {
    const nodes = new Set([from.node, to.node].filter(node => node !== null))
    const lines: string[] = []
    for (const node of nodes) {
      const { name, runDirectory } = node
      const question = {
        source: from.address,
        destination: to.address,
        protocol: parseProtocol(protocol)!,
        destinationPort: expected.port,
      }
      const said = await new AgentClient(runDirectory).explain(question).catch((error: Error) => error)
      if (said instanceof Error) lines.push(`the agent of ${name} cannot say: ${said.message}`)
      else {
        const { allow, by, trail } = said.verdict
        lines.push(`the agent of ${name}: ${allow ? 'allow' : 'deny'} by ${by}`)
        lines.push(...trail.map(({ at, what }) => `    ${at}: ${what}`))
      }
      const { stdout } = await node.run(['ipset', 'save', cutSetName(family)], { allowFailure: true })
      const closed = stdout.split('\n').filter(line => line.includes(to.address))
      lines.push(...closed.map(line => `    closed: ${line}`))
    }
    return lines
  }

  close(): Promise<void> {
    return this.stage.close()
  }
}
