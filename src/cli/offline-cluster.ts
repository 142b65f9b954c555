import { ModelTree } from '../model/tree.ts'
import type { ModelChange } from '../model/values.ts'
import { isBroken } from '../policy/broken.ts'
import { PolicyEngine } from '../policy/engine.ts'
import type { Tree } from './tree-origin.ts'

/** A tree, decoded, from which any node's policy can be computed without that node. */
export class OfflineCluster {
  readonly revision: string | null
  readonly #changes: readonly ModelChange[]

  constructor(tree: Tree) {
    this.revision = tree.revision
    this.#changes = new ModelTree().snapshot(tree.entries)
  }

  /** What the agent of this host would compute. */
  engine(host: string): PolicyEngine {
    const engine = new PolicyEngine(host)
    for (const change of this.#changes) engine.update(change)
    return engine
  }

  /** The id of the endpoint that is meant: a pod may be called `NAMESPACE/POD`. Anything else is itself. */
  idOf(text: string): string {
    const [, namespace, pod] = /^([^/]+)\/([^/]+)$/.exec(text) ?? []
    if (pod === undefined) return text
    const ending = `/k8s/${namespace}.${pod}/eth0`
    return (
      this.#changes.find(({ kind, id }) => kind === 'workload-endpoint' && id.endsWith(ending))?.id ?? text
    )
  }

  /** The hosts of the workload endpoints with this id or canonical address; several when an address has several owners. */
  hostsOf(idOrAddress: string): string[] {
    const hosts = new Set<string>()
    for (const { kind, id, value } of this.#changes) {
      if (kind !== 'workload-endpoint' || value === null || isBroken(value)) continue
      const { addresses4, addresses6, host } = value
      if (id === idOrAddress || addresses4.includes(idOrAddress) || addresses6.includes(idOrAddress))
        hosts.add(host)
    }
    return [...hosts]
  }

  /** The addresses of the workload endpoint with this id; none when there is no such endpoint. */
  addressesOf(endpoint: string): readonly string[] {
    for (const { kind, id, value } of this.#changes)
      if (kind === 'workload-endpoint' && id === endpoint && value !== null && !isBroken(value))
        return [...value.addresses4, ...value.addresses6]
    return []
  }

  /** The store's config keys, for the settings. */
  config(): ReadonlyMap<string, string> {
    const config = new Map<string, string>()
    for (const { kind, id, value } of this.#changes)
      if (kind === 'config' && value !== null) config.set(id, value)
    return config
  }
}
