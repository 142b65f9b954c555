import type { KubeObject } from './object-path.ts'

type Words = Readonly<Record<string, string>>

export interface PodWords {
  /** Where it runs. Default `n1`. */
  readonly node?: string
  readonly labels?: Words
  readonly annotations?: Words
  /** By name: `{ http: 80 }`, all TCP. */
  readonly ports?: Readonly<Record<string, number>>
  readonly hostNetwork?: boolean
}

/** A pod `NAMESPACE/NAME` as somebody would write it, with the node that a scheduler would add. */
export function podObject(id: string, words: PodWords = {}): KubeObject {
  const { node = 'n1', labels, annotations, ports = {}, hostNetwork } = words
  const [namespace = '', name = ''] = id.split('/')
  const listed = Object.entries(ports).map(([name, containerPort]) => ({ name, containerPort }))
  return {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { name, namespace, ...(labels && { labels }), ...(annotations && { annotations }) },
    spec: {
      nodeName: node,
      ...(hostNetwork && { hostNetwork }),
      // Terminating is to last until a test ends it, as with a slow program.
      terminationGracePeriodSeconds: 3600,
      containers: [{ name: 'main', image: 'none', ...(listed.length > 0 && { ports: listed }) }],
    },
  }
}

/** What kubelet says of a pod that runs with these addresses: for `admin.patch('Pod', id, ..., 'status')`. */
export function podStatus(addresses: readonly string[], phase = 'Running') {
  const [podIP] = addresses
  return { status: { phase, podIP: podIP ?? null, podIPs: addresses.map(ip => ({ ip })) } }
}

export function namespaceObject(name: string, labels?: Words): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...(labels && { labels }) } }
}

/** A NetworkPolicy `NAMESPACE/NAME` with its spec as it is written. */
export function policyObject(id: string, spec: object): KubeObject {
  const [namespace = '', name = ''] = id.split('/')
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace },
    spec,
  }
}
