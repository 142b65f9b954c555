import type { Test } from 'tap'
import type { LabPod, PodRequest } from '../../../src/lab/pod.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import { serve } from '../../e2e/support/flows.ts'
import type { Variant } from '../../stage.ts'
import { startCluster } from './cluster.ts'
import { direct } from './deployment.ts'
import { type KubeProxy, startKubeProxy } from './kube-proxy-process.ts'
import { LiveStage } from './live-stage.ts'
import { podObject, podStatus, policyObject } from './objects.ts'
import { ServiceCalls } from './service-calls.ts'
import { createNode, createServices, POD_PORT, podServices, SERVICE_PORT } from './service-objects.ts'

type Peers = readonly object[]

/** A real cluster whose nodes n1 and n2 run podfence, and kube-proxy when it is started. */
export interface ProxiedCluster {
  readonly calls: ServiceCalls
  /** The node ports of all services. */
  readonly nodePorts: readonly number[]
  /** Peers as a policy writes them: the pods of `role: client`, the external host, addresses of a node. */
  readonly clients: Peers
  readonly outsider: Peers
  /** The address by which others call n1. */
  readonly n1: Peers
  /** All addresses of both nodes, their bridges' too. */
  readonly nodes: Peers
  /** Writes the one policy: who may come in to the pods of `app: web`, and to which ports. */
  allow(from: Peers, ports?: readonly number[]): Promise<unknown>
  /** Starts the agents (again); resolves when they enforce what Kubernetes has. */
  start(...flags: string[]): Promise<void>
  stop(): Promise<void>
  startProxies(): Promise<readonly KubeProxy[]>
}

/**
 * Lays out pods and services, with agents that enforce the policy that only clients may come in:
 *
 *     n1   web (routed), bridged: servers with a service each, and one more of `externalTrafficPolicy: Local`
 *          client (routed), stranger (bridge)
 *     n2   far: a server with a service; mate: a client; a pod of the host network that bears a client's label
 */
export async function openProxiedCluster(t: Test, stage: Stage, variant: Variant): Promise<ProxiedCluster> {
  const { lab } = stage
  const { external, nodes, probe } = lab
  const [n1, n2] = [lab.node('n1'), lab.node('n2')]
  const place = (name: string, node: PodRequest['node'], kind: LabPod['kind'] = 'routed') => {
    return { name, node, kind, hairpin: true }
  }
  const [web, bridged, far, client, mate, stranger] = (await lab.addPods([
    ...[place('web', n1), place('bridged', n1, 'bridge'), place('far', n2)],
    ...[place('client', n1), place('mate', n2), place('stranger', n1, 'bridge')],
  ])) as [LabPod, LabPod, LabPod, LabPod, LabPod, LabPod]
  const services = podServices({
    web: [web, 'Cluster'],
    bridged: [bridged, 'Cluster'],
    far: [far, 'Cluster'],
    'web-local': [web, 'Local'],
    'bridged-local': [bridged, 'Local'],
  })
  await serve(probe, [web, bridged, far], [POD_PORT, SERVICE_PORT])

  const cluster = await startCluster(t, { address: lab.storeAddress4 })
  const { admin } = cluster
  const live = new LiveStage(t, stage, variant, cluster)
  for (const node of nodes) await createNode(cluster, node)
  await createServices(cluster, services)
  for (const pod of [web, bridged, far])
    await live.run(`default/${pod.name}`, pod, { labels: { app: 'web' } })
  for (const pod of [client, mate]) await live.run(`default/${pod.name}`, pod, { labels: { role: 'client' } })
  await live.run('default/stranger', stranger)
  await admin.create(podObject('default/host', { node: 'n2', hostNetwork: true, labels: { role: 'client' } }))
  await admin.patch('Pod', 'default/host', podStatus([n2.address4, n2.address6]), 'status')

  const deployment = await direct({ t, stage, cluster, proxy: cluster.url })
  const ground: ProxiedCluster = {
    calls: new ServiceCalls(stage, variant, services),
    nodePorts: services.map(({ nodePort }) => nodePort),
    clients: [{ podSelector: { matchLabels: { role: 'client' } } }],
    outsider: blocks(external.address4, external.address6),
    n1: blocks(n1.address4, n1.address6),
    nodes: nodes.flatMap(({ address4, address6, gateway4, gateway6 }) =>
      blocks(address4, address6, gateway4, gateway6),
    ),
    allow(from, numbers = [POD_PORT]) {
      const ports = numbers.flatMap(port => ['TCP', 'UDP'].map(protocol => ({ protocol, port })))
      return admin.apply(
        policyObject('default/web', {
          podSelector: { matchLabels: { app: 'web' } },
          policyTypes: ['Ingress'],
          // A rule without peers would let everybody in.
          ingress: from.length === 0 ? [] : [{ from, ports }],
        }),
      )
    },
    async start(...more) {
      await deployment.start('--bridges', 'cbr0', ...more)
      await live.enforced({ n1: 4, n2: 2 })
    },
    stop: () => deployment.stop(),
    startProxies: () => Promise.all(nodes.map(node => startKubeProxy(t, { node, cluster, probe }))),
  }
  await ground.allow(ground.clients)
  await ground.start()
  return ground
}

function blocks(...addresses: readonly string[]): Peers {
  return addresses.map(address => ({ ipBlock: { cidr: `${address}/${address.includes(':') ? 128 : 32}` } }))
}
