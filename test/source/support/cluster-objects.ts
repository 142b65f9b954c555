import type { ApiObject } from './fake-api-server.ts'

/** Objects as an API server gives them, with much that a source must not mind. */

export function namespace(name: string, labels: Record<string, string> = {}): ApiObject {
  return {
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels }, managedFields: [] },
    status: { phase: 'Active' },
  }
}

export function pod(
  namespaceName: string,
  name: string,
  address: string | null = null,
  more: { labels?: Record<string, string>; phase?: string; annotations?: Record<string, string> } = {},
): ApiObject {
  const { labels = {}, phase = 'Running', annotations } = more
  return {
    metadata: {
      name,
      namespace: namespaceName,
      labels,
      ...(annotations ? { annotations } : {}),
      managedFields: [{ manager: 'kubelet' }],
    },
    spec: {
      nodeName: 'n1',
      containers: [{ name: 'c', image: 'x', ports: [{ name: 'web', containerPort: 80 }] }],
    },
    status: {
      phase,
      conditions: [{ type: 'Ready', status: 'True' }],
      ...(address === null ? {} : { podIP: address, podIPs: [{ ip: address }] }),
    },
  }
}

export function networkPolicy(
  namespaceName: string,
  name: string,
  spec: Record<string, unknown> = {},
): ApiObject {
  return { metadata: { name, namespace: namespaceName }, spec: { podSelector: {}, ...spec } }
}
