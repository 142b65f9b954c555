import { readFileSync } from 'node:fs'
import { PodfenceError } from '../../src/errors.ts'
import type { KeyChange } from '../../src/source/event.ts'
import { objectKey } from '../../src/source/kubernetes/object-key.ts'

/** A NetworkPolicy case: a world, what should pass in it, and steps that change it. */
export interface Case {
  readonly name: string
  readonly about: string
  readonly tags: readonly string[]
  readonly nodes: readonly CaseNode[]
  readonly namespaces: readonly CaseNamespace[]
  readonly pods: readonly CasePod[]
  readonly services?: readonly CaseService[]
  readonly policies: readonly CasePolicy[]
  readonly expect: readonly Expectation[]
  readonly steps?: readonly {
    readonly name: string
    readonly actions: readonly Action[]
    readonly expect: readonly Expectation[]
  }[]
}

/** `ips`: the node's internal addresses first, then its own ones on the bridge of its pods. */
export interface CaseNode {
  readonly name: string
  readonly ips: readonly string[]
}

export interface CaseService {
  readonly ns: string
  readonly name: string
  readonly clusterIPs: readonly string[]
}

interface CaseNamespace {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

export interface CasePod {
  readonly ns: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly ips: readonly string[]
  readonly node: string
  readonly containerPorts?: readonly {
    readonly name?: string
    readonly port: number
    readonly protocol: string
  }[]
  readonly hostNetwork?: boolean
  readonly phase?: string
  readonly terminating?: boolean
}

interface CasePolicy {
  readonly metadata: { readonly name: string; readonly namespace: string }
}

/** What is asked of one packet. A verdict with a `strength` is told, not judged. */
export interface Expectation {
  /** `NAMESPACE/POD`, `ext:ADDRESS`, or `node:NAME`: the node's own processes. */
  readonly from: string
  readonly to: string
  readonly family: 'IPv4' | 'IPv6'
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
  readonly egress: boolean
  readonly ingress: boolean
  readonly allow: boolean
  readonly strength?: 'doc' | 'undefined'
  readonly why?: string
  /** `svc:NAMESPACE/NAME`: the sender calls this service, on `viaPort`; `to` and `port` are behind it. */
  readonly via?: string
  readonly viaPort?: number
}

/** What a step does; which fields it has depends on its verb. */
export interface Action {
  readonly action: string
  readonly ns?: string
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly ips?: readonly string[]
  readonly phase?: string
  readonly pod?: CasePod
  readonly namespace?: CaseNamespace
  readonly policy?: CasePolicy
}

/** The lists that every case has. */
const LISTS = ['nodes', 'namespaces', 'pods', 'policies', 'expect'] as const

/** Reads a case. Throws USAGE for a file that holds none. */
export function readCase(file: string): Case {
  const given = parse(file)
  if (isCase(given)) return given
  throw new PodfenceError('USAGE', `${file} holds no case: it needs a name and ${LISTS.join(', ')}.`)
}

function parse(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new PodfenceError('USAGE', `${file} cannot be read: ${(cause as Error).message}.`, { cause })
  }
}

function isCase(given: unknown): given is Case {
  if (typeof given !== 'object' || given === null) return false
  const fields = given as Readonly<Record<string, unknown>>
  return typeof fields.name === 'string' && LISTS.every(name => Array.isArray(fields[name]))
}

/** The case's world as objects of the API, which its steps change. */
export class CaseWorld {
  readonly #pods = new Map<string, CasePod>()
  readonly #namespaces = new Map<string, CaseNamespace>()
  readonly #policies = new Map<string, CasePolicy>()
  readonly #nodes: readonly CaseNode[]

  constructor({ nodes, pods, namespaces, policies }: Case) {
    this.#nodes = nodes
    for (const pod of pods) this.#pods.set(`${pod.ns}/${pod.name}`, pod)
    for (const namespace of namespaces) this.#namespaces.set(namespace.name, namespace)
    for (const policy of policies) this.#policies.set(nameOf(policy), policy)
  }

  get pods(): readonly CasePod[] {
    return [...this.#pods.values()]
  }

  /** All objects under their keys. */
  entries(): Map<string, string> {
    return new Map([
      ...this.#nodes.map(node => [objectKey('nodes', '', node.name), nodeText(node)] as const),
      ...[...this.#namespaces.values()].map(
        ({ name, labels }) =>
          [
            objectKey('namespaces', '', name),
            JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }),
          ] as const,
      ),
      ...[...this.#pods.values()].map(pod => [objectKey('pods', pod.ns, pod.name), podText(pod)] as const),
      ...[...this.#policies.values()].map(
        policy =>
          [
            objectKey('networkpolicies', policy.metadata.namespace, policy.metadata.name),
            JSON.stringify(policy),
          ] as const,
      ),
    ])
  }

  /** Carries a step's actions out; returns what the API would tell of them, in their order. */
  act(actions: readonly Action[]): KeyChange[] {
    return actions.flatMap(action => {
      const before = this.entries()
      this.#act(action)
      const after = this.entries()
      const gone = [...before.keys()].filter(key => !after.has(key)).map(key => ({ key, value: null }))
      const changed = [...after].filter(([key, value]) => before.get(key) !== value)
      return [...gone, ...changed.map(([key, value]) => ({ key, value }))]
    })
  }

  #act(action: Action): void {
    const { ns, name } = action
    switch (action.action) {
      case 'createPolicy':
      case 'updatePolicy':
        this.#policies.set(nameOf(action.policy!), action.policy!)
        return
      case 'deletePolicy':
        this.#policies.delete(`${ns}/${name}`)
        return
      case 'createNamespace':
      case 'setNamespaceLabels': {
        const namespace = action.namespace ?? { name: name!, labels: action.labels ?? {} }
        this.#namespaces.set(namespace.name, namespace)
        return
      }
      case 'deleteNamespace':
        this.#namespaces.delete(name!)
        for (const [key, pod] of this.#pods) if (pod.ns === name) this.#pods.delete(key)
        for (const [key, { metadata }] of this.#policies)
          if (metadata.namespace === name) this.#policies.delete(key)
        return
      case 'createPod': {
        const pod = action.pod ?? (action as unknown as CasePod)
        this.#pods.set(`${pod.ns}/${pod.name}`, pod)
        return
      }
      case 'deletePod':
        this.#pods.delete(`${ns}/${name}`)
        return
      case 'setPodLabels':
        this.#change(action, { labels: action.labels ?? {} })
        return
      case 'setPodIPs':
        this.#change(action, { ips: action.ips ?? [] })
        return
      case 'setPodPhase':
        this.#change(action, { phase: action.phase! })
        return
      case 'setPodTerminating':
        this.#change(action, { terminating: true })
        return
      default:
        throw new Error(`no such action: ${action.action}`)
    }
  }

  #change({ action, ns, name }: Action, part: Partial<CasePod>): void {
    const pod = this.#pods.get(`${ns}/${name}`)
    if (pod === undefined) throw new Error(`${action}: there is no pod ${ns}/${name}`)
    this.#pods.set(`${ns}/${name}`, { ...pod, ...part })
  }
}

function nameOf({ metadata }: CasePolicy): string {
  return `${metadata.namespace}/${metadata.name}`
}

function nodeText({ name, ips }: CaseNode): string {
  const addresses = ips.map(address => ({ type: 'InternalIP', address }))
  return JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name }, status: { addresses } })
}

/** The first address of a family; null when there is none. */
export function ownAddress(ips: readonly string[], family: Expectation['family']): string | null {
  return ips.find(ip => ip.includes(':') === (family === 'IPv6')) ?? null
}

/** Of a finished pod its address is free for others. */
export function isFinished({ phase }: CasePod): boolean {
  return phase === 'Succeeded' || phase === 'Failed'
}

function podText(pod: CasePod): string {
  const { ns: namespace, name, labels, ips, node, containerPorts = [] } = pod
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels,
      ...(pod.terminating ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: {
      nodeName: node,
      ...(pod.hostNetwork ? { hostNetwork: true } : {}),
      containers: [
        {
          name: 'main',
          ports: containerPorts.map(({ name, port, protocol }) => ({
            ...(name === undefined ? {} : { name }),
            containerPort: port,
            protocol,
          })),
        },
      ],
    },
    status: { phase: pod.phase ?? 'Running', podIPs: ips.map(ip => ({ ip })) },
  })
}
