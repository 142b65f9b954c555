import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Stage } from '../../../src/lab/stage.ts'
import type { Cluster } from './cluster.ts'
import { type ControllerProcess, startController } from './controller-process.ts'
import type { ServiceAccount } from './service-account.ts'

export interface DeploymentOptions {
  readonly t: Test
  readonly stage: Stage
  readonly cluster: Cluster
  /** A way to the API server that can be cut. */
  readonly proxy: string
}

/** podfence on every node of the stage, following Kubernetes with the rights of its manifest. */
export interface Deployment {
  /** Who asks the API server. */
  readonly account: ServiceAccount
  /** `flags` of those who translate what Kubernetes has. */
  start(...flags: string[]): Promise<void>
  stop(): Promise<void>
}

const NODES = ['n1', 'n2'] as const
/** Short, so that nobody waits for a quarter of a minute when the API server is back. */
const LEASE = ['--lease-duration', '4s']
const PATIENCE_MS = 60_000

/** Every agent asks the API server itself. */
export async function direct({ stage, cluster, proxy }: DeploymentOptions): Promise<Deployment> {
  await cluster.applyFile('src/deploy/rbac-agent.yaml')
  const account = await cluster.serviceAccount('podfence/podfence-agent', proxy)
  const source = ['--source', 'kubernetes', '--kubeconfig', account.kubeconfig]
  return {
    account,
    async start(...flags) {
      for (const node of NODES) stage.startAgent(node, [...source, ...flags])
    },
    stop: () => stopAgents(stage),
  }
}

/** Two controllers write to the agents' etcd. */
export async function controlled({ t, stage, cluster, proxy }: DeploymentOptions): Promise<Deployment> {
  await cluster.applyFile('src/deploy/rbac-controller.yaml')
  const account = await cluster.serviceAccount('podfence/podfence-controller', proxy)
  const words = { kubeconfig: account.kubeconfig, etcd: stage.etcd.endpoint }
  let controllers: readonly ControllerProcess[] = []
  return {
    account,
    async start(...flags) {
      const start = () => startController(t, { ...words, flags: [...LEASE, ...flags] })
      controllers = [await start(), await start()]
      await completeTree(controllers)
      for (const node of NODES) stage.startAgent(node)
    },
    async stop() {
      await Promise.all(controllers.map(controller => controller.stop()))
      await stopAgents(stage)
    },
  }
}

async function stopAgents(stage: Stage): Promise<void> {
  await Promise.all([...stage.agents.values()].map(agent => agent.stop()))
}

/** Waits until one of them has written all that Kubernetes has. */
async function completeTree(controllers: readonly ControllerProcess[]): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await pause(50)) {
    const complete = await Promise.all(
      controllers.map(controller => controller.metric('controller_last_complete_timestamp_seconds')),
    )
    if (complete.some(at => at > 0)) return
    if (Date.now() > deadline)
      throw new Error(
        `the tree is not complete:\n${controllers.map(({ said }) => said.slice(-2000)).join('\n')}`,
      )
  }
}
