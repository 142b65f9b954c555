import type { KeyChange } from '../../../../src/source/event.ts'
import { objectKey } from '../../../../src/source/kubernetes/object-key.ts'

/** Kubernetes objects in few words, as changes. `NS/NAME` names a pod or a policy. */

export interface PodWords {
  readonly ips?: readonly string[]
  /** null: not scheduled. */
  readonly node?: string | null
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, unknown>>
  /** `tcp.http` and its number. */
  readonly ports?: Readonly<Record<string, number>>
  readonly phase?: string
  readonly uid?: string
  /** The uid of the static pod that it mirrors. */
  readonly mirrors?: string
  readonly spec?: object
  readonly metadata?: object
  readonly status?: object
}

function change(resource: 'namespaces' | 'pods' | 'networkpolicies', id: string, object: object): KeyChange {
  const [namespace, name] = id.includes('/') ? id.split('/') : ['', id]
  return { key: objectKey(resource, namespace!, name!), value: JSON.stringify(object) }
}

export function namespace(name: string, labels: Readonly<Record<string, string>> = {}): KeyChange {
  return change('namespaces', name, { kind: 'Namespace', metadata: { name, labels } })
}

export function pod(id: string, words: PodWords): KeyChange {
  const { ips = [], node = 'n1', labels = {}, annotations = {}, ports = {}, phase = 'Running' } = words
  const uid = words.uid === undefined ? {} : { uid: words.uid }
  const mirrored = words.mirrors === undefined ? {} : { 'kubernetes.io/config.mirror': words.mirrors }
  const containerPorts = Object.entries(ports).map(([text, containerPort]) => {
    const [protocol = '', name] = text.split('.')
    return { name, containerPort, protocol: protocol.toUpperCase() }
  })
  return change('pods', id, {
    kind: 'Pod',
    metadata: { labels, annotations: { ...annotations, ...mirrored }, ...uid, ...words.metadata },
    spec: {
      ...(node === null ? {} : { nodeName: node }),
      containers: [{ name: 'main', ports: containerPorts }],
      ...words.spec,
    },
    status: { phase, podIPs: ips.map(ip => ({ ip })), ...words.status },
  })
}

export function policy(id: string, spec: object): KeyChange {
  return change('networkpolicies', id, { kind: 'NetworkPolicy', spec })
}

export function gone({ key }: KeyChange): KeyChange {
  return { key, value: null }
}
