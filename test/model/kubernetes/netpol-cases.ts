import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { KubernetesTranslation } from '../../../src/model/kubernetes/translation.ts'
import { ModelTree } from '../../../src/model/tree.ts'
import { PolicyEngine } from '../../../src/policy/engine.ts'
import type { Packet } from '../../../src/policy/outcome.ts'
import { judge } from '../../../src/policy/verdict.ts'
import { type Case, CaseWorld, type Expectation, readCase } from '../../conformance/case.ts'

/**
 * Every case of NetworkPolicy, each verdict: translated, decoded, computed on the nodes of both ends. Steps come as changes,
 * never as a new list.
 */
const FOLDER = join(import.meta.dirname, '../../cases/netpol')
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 }
const SETTINGS = { nodeToWorkload: 'allow', workloadToNode: 'allow' } as const

class Cluster {
  readonly #case: Case
  readonly world: CaseWorld
  readonly #translation = new KubernetesTranslation({
    annotationPolicy: false,
    defaultPolicy: 'isolate',
    annotationCombine: 'narrow',
    profiles: 'shared',
  })
  readonly #tree = new ModelTree()
  readonly #engines: ReadonlyMap<string, PolicyEngine>

  constructor(given: Case) {
    this.#case = given
    this.world = new CaseWorld(given)
    this.#engines = new Map(given.nodes.map(({ name }) => [name, new PolicyEngine(name)]))
    const tree = this.#translation.snapshot(this.world.entries())
    for (const change of this.#tree.snapshot(tree))
      for (const engine of this.#engines.values()) engine.update(change)
  }

  act(...actions: Parameters<CaseWorld['act']>): void {
    for (const change of this.#tree.change(this.#translation.change(this.world.act(...actions))))
      for (const engine of this.#engines.values()) engine.update(change)
  }

  get refused(): number {
    return this.#tree.rejections().size + this.#translation.problems().size
  }

  /** Whether a packet passes both ends, each judged on its node. */
  allows({ from, to, family, protocol, port }: Expectation): boolean {
    const [source, destination] = [this.#side(from, family), this.#side(to, family)]
    const packet = {
      family: family === 'IPv4' ? 4 : 6,
      source: source.address,
      destination: destination.address,
      protocol: PROTOCOLS[protocol],
      sourcePort: 40000,
      destinationPort: port,
    } as const
    const nodes = new Set([source.node, destination.node])
    return [...nodes].every(node => {
      if (node === null) return true
      const path: Packet['path'] =
        source.node === node && source.isNode
          ? 'from-node'
          : destination.node === node && destination.isNode
            ? 'to-node'
            : 'forward'
      return judge(this.#engines.get(node)!, { ...packet, path }, SETTINGS).allow
    })
  }

  #side(text: string, family: 'IPv4' | 'IPv6') {
    const own = (ips: readonly string[]) => ips.find(ip => ip.includes(':') === (family === 'IPv6'))!
    if (text.startsWith('ext:')) return { node: null, address: text.slice(4), isNode: false }
    const nodeNamed = (name: string) => {
      const { ips } = this.#case.nodes.find(node => node.name === name)!
      return { node: name, address: own(ips), isNode: true }
    }
    if (text.startsWith('node:')) return nodeNamed(text.slice(5))
    const pod = this.world.pods.find(({ ns, name }) => `${ns}/${name}` === text)!
    if (pod.hostNetwork) return nodeNamed(pod.node)
    return { node: pod.node, address: own(pod.ips), isNode: false }
  }
}

for (const file of readdirSync(FOLDER).sort()) {
  const given = readCase(join(FOLDER, file))
  t.test(given.name, async t => {
    const cluster = new Cluster(given)
    const judged = (expected: readonly Expectation[], when: string) => {
      const must = expected.filter(({ strength }) => strength === undefined)
      const wrong = must.filter(each => cluster.allows(each) !== each.allow)
      t.same(wrong.slice(0, 3), [], `${when}: ${must.length} verdicts`)
    }
    judged(given.expect, given.about)
    for (const { name, actions, expect } of given.steps ?? []) {
      cluster.act(actions)
      judged(expect, name)
    }
    t.equal(cluster.refused, 0, 'nothing is refused')
  })
}
