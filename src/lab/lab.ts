import { PodfenceError } from '../errors.ts'
import type { Backend } from '../kernel/backend.ts'
import type { Ended, Processes } from '../kernel/process.ts'
import { alone, EXTERNAL, FABRIC } from './address-plan.ts'
import { type CommandOptions, sandboxCommands } from './commands.ts'
import {
  fabricPort,
  fabricSteps,
  joinSteps,
  type LabNode,
  labNode,
  type NodeRequest,
  nodeSteps,
  routesTo,
  strangerRoutes,
} from './node.ts'
import { foreignRoutes, type LabPod, labPod, type PodRequest, podSteps, removalSteps } from './pod.ts'
import { openProbe, type Place, type Probe } from './probe.ts'

export interface LabOptions {
  /** The nodes, in order; each is a namespace. A name alone is a node with addresses of the plan. */
  readonly nodes: readonly (string | NodeRequest)[]
  readonly backend: Backend
  /** The kernel's own reverse path check on new interfaces of nodes. Default 2 (loose), as Debian has it. */
  readonly rpFilter?: 0 | 1 | 2
}

/** A host on the fabric that is neither node nor pod and has routes to every pod. */
export interface ExternalHost extends Place {
  readonly address4: string
  readonly address6: string
  run(command: readonly string[], options?: CommandOptions): Promise<Ended>
  /** Gives it further addresses, none of which is the fabric's, any node's or any pod's. */
  adopt(addresses: readonly string[]): Promise<void>
}

/**
 * The laboratory, all of it inside the sandbox:
 *
 *     sandbox's own namespace: fabric 10.90.0.1, fd90::1 (the store listens here)
 *        ├── node 1 ── cali... ── pod    routed, 10.65.1.0/24, fd65:0:0:1::/64
 *        │         └── cbr0 ── veth... ── pod    bridged, 10.66.1.0/24, fd66:0:0:1::/64
 *        ├── node 2 ...
 *        └── external 10.90.0.200, fd90::200
 */
export interface Lab {
  readonly nodes: readonly LabNode[]
  readonly external: ExternalHost
  readonly probe: Probe
  /** Where a store listens so that every node reaches it. */
  readonly storeAddress4: string
  readonly storeAddress6: string
  /** The pods that stand now, in order of creation. */
  readonly pods: readonly LabPod[]
  /** Throws PodfenceError when there is no such node. */
  node(name: string): LabNode
  addPods(requests: readonly PodRequest[]): Promise<LabPod[]>
  removePods(pods: readonly LabPod[]): Promise<void>
  /** Called in reverse order by `close`, before anything of the laboratory goes. */
  onClose(action: () => Promise<void>): void
  /** Removes everything. A second call does nothing. */
  close(): Promise<void>
}

/** Builds the laboratory. Throws PodfenceError outside a sandbox, or naming the command that failed. */
export async function openLab(options: LabOptions, processes: Processes): Promise<Lab> {
  const commands = sandboxCommands(processes)
  const requests = options.nodes.map(node => (typeof node === 'string' ? { name: node } : node))
  const nodes = requests.map((request, index) => labNode(request, index + 1, options.backend, commands))
  const external: ExternalHost = {
    ...EXTERNAL,
    namespace: 'external',
    run: (command, given) => commands.runIn('external', command, given),
    adopt: addresses =>
      commands.script([
        {
          namespace: 'external',
          ip: addresses.map(
            address => `addr add ${alone(address)} dev eth0${address.includes(':') ? ' nodad' : ''}`,
          ),
        },
        ...nodes.map(({ namespace }) => ({ namespace, ip: strangerRoutes(addresses) })),
      ]),
  }
  await commands.script([
    ...fabricSteps(),
    ...nodes.flatMap(node => nodeSteps(node, options.rpFilter ?? 2)),
    { namespace: null, ip: [`netns add ${external.namespace}`] },
    ...joinSteps(external.namespace, external.namespace, EXTERNAL.address4, EXTERNAL.address6),
    ...[...nodes, external].map(place => ({
      namespace: place.namespace,
      ip: nodes.filter(node => node !== place).flatMap(routesTo),
    })),
  ])
  const probe = openProbe(processes)
  const pods = new Map<string, LabPod>()
  const closing: (() => Promise<void>)[] = []
  const numbers = new Map<string, number>()
  let closed = false

  /** The next number from 10 on whose addresses no pod has now. */
  const nextNumber = (request: PodRequest): number => {
    const key = `${request.node.name} ${request.kind}`
    const taken = new Set([...pods.values()].flatMap(pod => [pod.address4, pod.address6]))
    for (let tries = 0; tries < 245; tries++) {
      const turn = numbers.get(key) ?? 0
      numbers.set(key, (turn + 1) % 245)
      const plain = labPod(
        { name: request.name, node: request.node, kind: request.kind },
        10 + turn,
        commands,
      )
      if (!taken.has(plain.address4) && !taken.has(plain.address6)) return 10 + turn
    }
    throw new PodfenceError('USAGE', `${request.node.name} has no address left for ${request.name}.`)
  }
  const elsewhere = (pod: LabPod) => [...nodes.filter(node => node !== pod.node), external]
  const routeSteps = (list: readonly LabPod[], verb: 'replace' | 'del') =>
    list.flatMap(pod => elsewhere(pod).map(({ namespace }) => ({ namespace, ip: foreignRoutes(pod, verb) })))

  const lab: Lab = {
    nodes,
    external,
    probe,
    storeAddress4: FABRIC.address4,
    storeAddress6: FABRIC.address6,
    get pods() {
      return [...pods.values()]
    },
    node(name) {
      const found = nodes.find(node => node.name === name)
      if (found === undefined) throw new PodfenceError('USAGE', `The laboratory has no node ${name}.`)
      return found
    },
    async addPods(requests) {
      const made: LabPod[] = []
      for (const request of requests) {
        if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(request.name) || pods.has(request.name))
          throw new PodfenceError('USAGE', `${request.name} cannot be a pod's name here, or is taken.`)
        const pod = labPod(request, nextNumber(request), commands)
        pods.set(pod.name, pod)
        made.push(pod)
      }
      await commands.script([...podSteps(made), ...routeSteps(made, 'replace')])
      return made
    },
    async removePods(list) {
      for (const pod of list) await probe.forget(pod)
      await commands.script([...routeSteps(list, 'del'), ...removalSteps(list)])
      for (const pod of list) pods.delete(pod.name)
    },
    onClose(action) {
      closing.push(action)
    },
    async close() {
      if (closed) return
      closed = true
      for (const action of closing.splice(0).reverse()) await action()
      await probe.close()
      const places = [...pods.values(), ...nodes, external]
      // The kernel buries a namespace later, its links by hand at once: the names are free when this returns.
      const links = [...nodes.map(node => fabricPort(node.number)), external.namespace, FABRIC.bridge]
      await commands.script([
        { namespace: null, ip: links.map(link => `link del ${link}`) },
        { namespace: null, ip: places.map(place => `netns del ${place.namespace}`) },
      ])
      pods.clear()
    },
  }
  return lab
}
