import { BlockList } from 'node:net'
import type { TranslationOptions } from '../../../../src/model/kubernetes/translation.ts'

/**
 * Whether a packet passes by the words of the Kubernetes API and of the design, read off the objects themselves: no
 * tiers, no profiles, no selectors of v1. Annotations are those of the random worlds, by hand.
 */

type Labels = Readonly<Record<string, string>>

interface Selector {
  readonly matchLabels?: Labels
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

interface Peer {
  readonly podSelector?: Selector
  readonly namespaceSelector?: Selector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

interface Port {
  readonly protocol?: string
  readonly port?: number | string
  readonly endPort?: number
}

interface Rule {
  readonly from?: readonly Peer[]
  readonly to?: readonly Peer[]
  readonly ports?: readonly Port[]
}

interface Policy {
  readonly namespace: string
  readonly spec: {
    readonly podSelector: Selector
    readonly policyTypes?: readonly string[]
    readonly ingress?: readonly Rule[]
    readonly egress?: readonly Rule[]
  }
}

interface Pod {
  readonly namespace: string
  readonly object: {
    readonly metadata: { readonly labels: Labels; readonly annotations: Labels }
    readonly spec: {
      readonly containers: readonly {
        readonly ports: readonly { readonly name: string; readonly containerPort: number; readonly protocol: string }[]
      }[]
    }
    readonly status: { readonly podIPs: readonly { readonly ip: string }[] }
  }
}

export interface Question {
  readonly source: string
  readonly destination: string
  readonly protocol: string
  readonly port: number
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key]
      if (operator === 'Exists') return value !== undefined
      if (operator === 'DoesNotExist') return value === undefined
      const listed = value !== undefined && values.includes(value)
      return operator === 'In' ? listed : !listed
    })
  )
}

function isIn(cidr: string, address: string): boolean {
  const family = (text: string) => (text.includes(':') ? 'ipv6' : 'ipv4')
  if (family(cidr) !== family(address)) return false
  const [base = '', length] = cidr.split('/')
  const list = new BlockList()
  list.addSubnet(base, Number(length), family(cidr))
  return list.check(address, family(address))
}

export class NaiveKubernetes {
  readonly #options: TranslationOptions
  readonly #namespaces = new Map<string, Labels>()
  readonly #policies: Policy[] = []
  readonly #pods: Pod[] = []

  constructor(options: TranslationOptions, objects: ReadonlyMap<string, string>) {
    this.#options = options
    for (const [key, text] of objects) {
      const [, , resource, namespace = ''] = key.split('/')
      const object = JSON.parse(text)
      if (resource === 'namespaces')
        this.#namespaces.set(namespace, { ...object.metadata.labels, 'kubernetes.io/metadata.name': namespace })
      else if (resource === 'networkpolicies') this.#policies.push({ namespace, spec: object.spec })
      else if (object.spec.nodeName && !object.spec.hostNetwork && object.status.phase !== 'Succeeded')
        this.#pods.push({ namespace, object })
    }
  }

  /** Addresses that more than one pod has, or one of a namespace that is not known: no question to be asked. */
  isPlain(address: string): boolean {
    const owners = this.#owners(address)
    return owners.length === 0 || (owners.length === 1 && this.#namespaces.has(owners[0]!.namespace))
  }

  passes(question: Question): boolean {
    const [from] = this.#owners(question.source)
    const [to] = this.#owners(question.destination)
    if (from !== undefined && from === to) return true
    return (from === undefined || this.#egress(from, question)) && (to === undefined || this.#ingress(to, question))
  }

  #owners(address: string): Pod[] {
    return this.#pods.filter(({ object }) => object.status.podIPs.some(({ ip }) => ip === address))
  }

  #egress(pod: Pod, question: Question): boolean {
    const policies = this.#isolating(pod, 'Egress')
    return policies.length === 0 || this.#allowed(policies, 'egress', question)
  }

  #ingress(pod: Pod, question: Question): boolean {
    const { annotationPolicy, defaultPolicy, annotationCombine } = this.#options
    const policies = this.#isolating(pod, 'Ingress')
    const byPolicy = this.#allowed(policies, 'ingress', question)
    const { annotations } = pod.object.metadata
    const text = annotations['projectcalico.org/policy'] ?? annotations.policy
    if (!annotationPolicy || pod.namespace === 'kube-system') return policies.length === 0 || byPolicy
    if (text !== undefined) {
      if (text === '' || text === 'deny') return false
      const byAnnotation = this.#byAnnotation(text, pod, question)
      if (policies.length === 0) return byAnnotation
      return annotationCombine === 'narrow' ? byPolicy && byAnnotation : byPolicy || byAnnotation
    }
    if (policies.length > 0) return byPolicy
    if (defaultPolicy === 'allow') return true
    return this.#owners(question.source).some(({ namespace }) => namespace === pod.namespace)
  }

  #byAnnotation(text: string, pod: Pod, { source, protocol, port }: Question): boolean {
    const isPeer = (key: string, value: string) =>
      this.#owners(source).some(
        ({ namespace, object }) => namespace === pod.namespace && object.metadata.labels[key] === value,
      )
    switch (text) {
      case 'allow':
        return true
      case 'allow tcp to ports 80':
        return protocol === 'tcp' && port === 80
      case 'allow from label app=a':
        return isPeer('app', 'a')
      case 'allow from label podfence/x=a cidr 10.0.0.0/31; allow udp':
        return protocol === 'udp' || (isPeer('podfence/x', 'a') && isIn('10.0.0.0/31', source))
      case 'allow tcp from cidr fd00::/64':
        return protocol === 'tcp' && isIn('fd00::/64', source)
      default:
        throw new Error(`not known here: ${text}`)
    }
  }

  #isolating(pod: Pod, type: 'Ingress' | 'Egress'): Policy[] {
    return this.#policies.filter(({ namespace, spec }) => {
      const { policyTypes = [], egress = [] } = spec
      const byDefault = type === 'Ingress' || egress.length > 0
      const has = policyTypes.length === 0 ? byDefault : policyTypes.includes(type)
      return has && namespace === pod.namespace && selects(spec.podSelector, pod.object.metadata.labels)
    })
  }

  #allowed(policies: readonly Policy[], direction: 'ingress' | 'egress', question: Question): boolean {
    const address = direction === 'ingress' ? question.source : question.destination
    return policies.some(({ namespace, spec }) =>
      (spec[direction] ?? []).some(rule => {
        const peers = (direction === 'ingress' ? rule.from : rule.to) ?? []
        const ports = rule.ports ?? []
        return (
          (peers.length === 0 || peers.some(peer => this.#isPeer(peer, namespace, address))) &&
          (ports.length === 0 || ports.some(port => this.#isPort(port, question)))
        )
      }),
    )
  }

  #isPeer({ podSelector, namespaceSelector, ipBlock }: Peer, own: string, address: string): boolean {
    if (ipBlock !== undefined)
      return isIn(ipBlock.cidr, address) && !(ipBlock.except ?? []).some(except => isIn(except, address))
    return this.#owners(address).some(({ namespace, object }) => {
      const labels = this.#namespaces.get(namespace)!
      const here = namespaceSelector === undefined ? namespace === own : selects(namespaceSelector, labels)
      return here && selects(podSelector ?? {}, object.metadata.labels)
    })
  }

  #isPort({ protocol = 'TCP', port, endPort }: Port, question: Question): boolean {
    if (protocol.toLowerCase() !== question.protocol) return false
    if (port === undefined) return true
    if (typeof port === 'number') return question.port >= port && question.port <= (endPort ?? port)
    return this.#owners(question.destination).some(({ object }) =>
      object.spec.containers.some(({ ports }) =>
        ports.some(
          each => each.name === port && each.protocol === protocol && each.containerPort === question.port,
        ),
      ),
    )
  }
}
