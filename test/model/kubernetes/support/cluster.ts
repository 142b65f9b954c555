import {
  KubernetesTranslation,
  type TranslationOptions,
} from '../../../../src/model/kubernetes/translation.ts'
import { ModelTree } from '../../../../src/model/tree.ts'
import type { ModelChange } from '../../../../src/model/values.ts'
import { PolicyEngine } from '../../../../src/policy/engine.ts'
import { judge } from '../../../../src/policy/verdict.ts'
import type { KeyChange } from '../../../../src/source/event.ts'

export const PLAIN: TranslationOptions = {
  annotationPolicy: false,
  defaultPolicy: 'isolate',
  annotationCombine: 'narrow',
  profiles: 'shared',
}
export const ANNOTATED: TranslationOptions = { ...PLAIN, annotationPolicy: true }

const NODES = ['n1', 'n2']
const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, sctp: 132 }
const SETTINGS = { nodeToWorkload: 'allow', workloadToNode: 'allow' } as const

/** Kubernetes objects all the way to verdicts, on the nodes n1 and n2. Everything comes as changes. */
export class Cluster {
  readonly translation: KubernetesTranslation
  /** What the changes of the translation add up to. */
  readonly tree = new Map<string, string>()
  readonly model = new ModelTree()
  readonly #engines = new Map(NODES.map(node => [node, new PolicyEngine(node)]))

  constructor(options: TranslationOptions, ...changes: readonly KeyChange[]) {
    this.translation = new KubernetesTranslation(options)
    const tree = this.translation.snapshot(new Map())
    for (const [key, value] of tree) this.tree.set(key, value)
    this.#tell(this.model.snapshot(tree))
    this.apply(...changes)
  }

  /** Objects change; returns what that is in the v1 tree. */
  apply(...changes: readonly KeyChange[]): KeyChange[] {
    return this.take(this.translation.change(changes))
  }

  /** Takes changes of the v1 tree in. */
  take(changes: KeyChange[]): KeyChange[] {
    for (const { key, value } of changes)
      if (value === null) this.tree.delete(key)
      else this.tree.set(key, value)
    this.#tell(this.model.change(changes))
    return changes
  }

  /** The value of a key of the v1 tree below `/calico/v1/`, as JSON. */
  at(key: string): unknown {
    const text = this.tree.get(`/calico/v1/${key}`)
    return text === undefined ? undefined : JSON.parse(text)
  }

  /** The endpoint of a pod (`NS/NAME`). */
  endpoint(id: string, node = 'n1'): unknown {
    return this.at(`host/${node}/workload/k8s/${id.replace('/', '.')}/endpoint/eth0`)
  }

  /** A v1 policy of one of the two tiers. */
  policy(direction: 'ingress' | 'egress', id: string): unknown {
    return this.at(`policy/tier/kubernetes-${direction}/policy/${id}`)
  }

  /** The problem with an object, by its key below `/kubernetes/`. */
  problem(key: string) {
    return this.translation.problems().get(`/kubernetes/${key}`)
  }

  /** Whether a packet between two addresses passes, `what` being `tcp/80`, and each end judged on its node. */
  passes(source: string, destination: string, what = 'tcp/80'): boolean {
    const [protocol = '', port = ''] = what.split('/')
    const family = source.includes(':') ? 6 : 4
    const numbers = { protocol: PROTOCOLS[protocol]!, sourcePort: 40000, destinationPort: Number(port) }
    return [...this.#engines.values()].every(engine => {
      const owned = engine.localByAddress(source).length + engine.localByAddress(destination).length > 0
      return (
        !owned || judge(engine, { family, path: 'forward', source, destination, ...numbers }, SETTINGS).allow
      )
    })
  }

  /** Whether any node knows an endpoint with this address. */
  owns(address: string): boolean {
    return [...this.#engines.values()].some(engine => engine.localByAddress(address).length > 0)
  }

  #tell(changes: readonly ModelChange[]): void {
    for (const change of changes) for (const engine of this.#engines.values()) engine.update(change)
  }
}
