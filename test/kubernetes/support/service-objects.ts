import type { LabNode } from '../../../src/lab/node.ts'
import type { LabPod } from '../../../src/lab/pod.ts'
import type { Family } from '../../../src/model/values.ts'
import type { Cluster } from './cluster.ts'
import type { KubeObject } from './object-path.ts'

/** A service of one pod, with a port on every node. */
export interface PodService {
  readonly name: string
  readonly pod: LabPod
  readonly address4: string
  readonly address6: string
  readonly nodePort: number
  /** What becomes of calls from outside the cluster: spread over all nodes, or for this node's own pods alone. */
  readonly external: 'Cluster' | 'Local'
}

/** The service's own port, and the one that its pods listen on. */
export const SERVICE_PORT = 80
export const POD_PORT = 8080

const PROTOCOLS = ['TCP', 'UDP'] as const

/** Services by name, with addresses and node ports in their order. */
export function podServices(
  words: Readonly<Record<string, readonly [pod: LabPod, external: PodService['external']]>>,
): PodService[] {
  return Object.entries(words).map(([name, [pod, external]], index) => ({
    ...{ name, pod, external },
    address4: `10.96.0.${10 + index}`,
    address6: `fd96::${(10 + index).toString(16)}`,
    nodePort: 30080 + index,
  }))
}

/** Makes services, with the endpoints that a controller would write, which these clusters have not. */
export async function createServices({ admin }: Cluster, services: readonly PodService[]): Promise<void> {
  for (const service of services) {
    await admin.create(serviceObject(service))
    for (const family of [4, 6] as const) await admin.create(sliceObject(service, family))
  }
}

/** Makes a node as kubelet and a controller would: its addresses, and the range of its pods. */
export async function createNode({ admin }: Cluster, node: LabNode): Promise<void> {
  const { name, address4, address6, routed4, routed6 } = node
  await admin.create({
    ...{ apiVersion: 'v1', kind: 'Node' },
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
    spec: { podCIDR: routed4, podCIDRs: [routed4, routed6] },
  })
  const addresses = [address4, address6].map(address => ({ type: 'InternalIP', address }))
  await admin.patch('Node', name, { status: { addresses } }, 'status')
}

function serviceObject({ name, address4, address6, nodePort, external }: PodService): KubeObject {
  return {
    ...{ apiVersion: 'v1', kind: 'Service' },
    metadata: { name, namespace: 'default' },
    spec: {
      ...{ type: 'NodePort', externalTrafficPolicy: external },
      ...{ clusterIP: address4, clusterIPs: [address4, address6] },
      ...{ ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] },
      // It has no selector, so the endpoints are those that somebody writes.
      ports: PROTOCOLS.map(protocol => ({
        ...{ name: protocol.toLowerCase(), protocol, nodePort },
        ...{ port: SERVICE_PORT, targetPort: POD_PORT },
      })),
    },
  }
}

function sliceObject({ name, pod }: PodService, family: Family): KubeObject {
  const address = family === 4 ? pod.address4 : pod.address6
  return {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: `IPv${family}` },
    metadata: {
      name: `${name}-ipv${family}`,
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': name },
    },
    endpoints: [{ addresses: [address], nodeName: pod.node.name, conditions: { ready: true } }],
    ports: PROTOCOLS.map(protocol => ({ name: protocol.toLowerCase(), protocol, port: POD_PORT })),
  }
}
