import { hostname } from 'node:os'
import type { CniNode } from '../runtime/cni/desk.ts'
import { CNI_CODES, CniFailure } from '../runtime/cni/failure.ts'
import type { PodRequest } from '../runtime/cni/request.ts'
import { Agent } from './agent.ts'
import type { Container } from './environment.ts'
import type { EtcdTree } from './etcd-tree.ts'
import { hostInterface, type Run, systemLinks } from './host-interface.ts'
import type { Log } from './log.ts'
import type { EtcdConfig, NetworkConfig } from './network-config.ts'
import { readResult } from './result.ts'

/** One call of the plugin. */
export interface Call {
  readonly config: NetworkConfig
  /** When the runtime is to have its answer, on the clock of `performance.now`. */
  readonly deadline: number
  readonly log: Log
}

/** Resolves when the pod is enforced with the interface that the plugins before have made. Throws CniFailure. */
export async function add(call: Call, container: Container): Promise<void> {
  mustBeMain(container)
  const { agent, node } = await ready(call)
  const asked = await requestFor(call, container)
  if (node.source === 'etcd') {
    const { pod, network } = asked
    await inEtcd(call, etcdOf(call.config), node.host, tree => tree.attach(pod, asked, network))
  }
  await agent.add(asked)
}

/** Throws CniFailure when the pod is not enforced as it was added. */
export async function check(call: Call, container: Container): Promise<void> {
  mustBeMain(container)
  const { agent } = await ready(call)
  await agent.check(await requestFor(call, container))
}

/** What is gone already is no failure, nor is an agent that is away: it sees by the interface what nobody told it. */
export async function del(call: Call, container: Container): Promise<void> {
  const { config, log } = call
  if (container.ifname !== MAIN_INTERFACE) return log('info', `${container.ifname} was never attached`)
  const agent = new Agent(config.socket, halfway(call))
  const node = await unlessAway(agent.node())
  if (node?.source === 'kubernetes') {
    await unlessAway(agent.del({ sandbox: container.id }))
    return
  }
  if (config.etcd === null || node?.source === 'files') return log('info', 'there is nobody to tell')
  const { pod } = container
  if (pod === null) return log('info', 'no pod is named, so there is no endpoint of ours')
  await inEtcd(call, config.etcd, hostOf(config, node), tree => tree.detach(pod, container.id))
}

/** Forgets what of this network is attached to other sandboxes than those that still are. Throws CniFailure. */
export async function gc(call: Call): Promise<void> {
  const { config } = call
  const { name, valid, etcd } = config
  if (valid === undefined) {
    const message = 'cni.dev/valid-attachments is missing.'
    throw new CniFailure('INVALID_CONFIG', message, 'Without it everything would be stale.')
  }
  const agent = new Agent(config.socket, halfway(call))
  const node = etcd === null ? await agent.node() : await unlessAway(agent.node())
  if (node?.source === 'kubernetes') return agent.gc({ network: name, sandboxes: valid })
  await inEtcd(call, etcdOf(config), hostOf(config, node), tree => tree.collect(name, valid))
}

/** Throws CniFailure when ADD could not succeed now. */
export async function status({ config, deadline }: Call): Promise<void> {
  const agent = new Agent(config.socket, deadline)
  try {
    await agent.status()
  } catch (error) {
    if (!(error instanceof CniFailure) || error.code !== CNI_CODES.TRY_AGAIN) throw error
    throw new CniFailure('NOT_AVAILABLE', error.message, error.details)
  }
}

/** The interface of a pod's own addresses, as runtimes for Kubernetes name it; others belong to further networks. */
const MAIN_INTERFACE = 'eth0'

function mustBeMain({ ifname, pod }: Container): void {
  if (ifname === MAIN_INTERFACE) return
  const message = `One interface of a pod is enforced, ${MAIN_INTERFACE}: not ${ifname} of ${pod} too.`
  throw new CniFailure('NOT_ENFORCEABLE', message, 'Keep podfence-cni to the configuration of one network.')
}

/** The agent, once it is known that this configuration fits it. */
async function ready({ config, deadline }: Call): Promise<{ agent: Agent; node: CniNode }> {
  const agent = new Agent(config.socket, deadline)
  const node = await agent.node()
  if (node.source === 'etcd') etcdOf(config)
  if (config.hostname !== null && config.hostname !== node.host) {
    const message = `hostname is ${config.hostname}, and the agent's is ${node.host}.`
    throw new CniFailure('INVALID_CONFIG', message, 'Leave it out, or name the same one in both.')
  }
  return { agent, node }
}

async function requestFor({ config, log }: Call, container: Container): Promise<Omit<PodRequest, 'within'>> {
  const { mac, addresses, hostInterfaces } = readResult(config.prevResult, container)
  const name = await hostInterface(hostInterfaces, container, systemLinks, run)
  log('debug', `${container.ifname} of ${container.pod} is ${name} here, with ${addresses.join(', ')}`)
  return {
    pod: container.pod!,
    sandbox: container.id,
    network: config.name,
    interface: name,
    mac,
    addresses,
    uid: container.uid,
    annotations: config.annotations,
  }
}

/** Starting a process is rarely needed, and what does it takes long to load. */
const run: Run = async (file, args) => {
  const { systemProcesses } = await import('../kernel/process.ts')
  const { code, stdout, stderr, missing } = await systemProcesses().run(file, args, { timeoutMs: 5000 })
  if (code === 0) return stdout
  throw new Error(missing ? `there is no program ${file}` : stderr.trim())
}

/** etcd's client takes longer to load than all the rest. */
async function inEtcd(
  { deadline }: Call,
  config: EtcdConfig,
  host: string,
  work: (tree: EtcdTree) => Promise<void>,
): Promise<void> {
  const { withEtcd } = await import('./etcd-tree.ts')
  await withEtcd(config, host, Math.max(1, Math.round(deadline - performance.now())), work)
}

function etcdOf({ etcd }: NetworkConfig): EtcdConfig {
  if (etcd !== null) return etcd
  const message = 'etcd_authority is missing, and the agent watches etcd.'
  throw new CniFailure('INVALID_CONFIG', message, 'Name the etcd that the agent watches.')
}

function hostOf(config: NetworkConfig, node: CniNode | null): string {
  return node?.host ?? config.hostname ?? hostname()
}

async function unlessAway<Answer>(asked: Promise<Answer>): Promise<Answer | null> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof CniFailure && error.code === CNI_CODES.TRY_AGAIN) return null
    throw error
  }
}

/** A frozen agent leaves time for etcd. */
function halfway({ deadline }: Call): number {
  return (performance.now() + deadline) / 2
}
