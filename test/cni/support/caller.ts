import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LabNode } from '../../../src/lab/node.ts'

/** Where Debian's containernetworking-plugins lie, and ours from the build. */
const REFERENCE = '/usr/lib/cni'
const OWN = join(import.meta.dirname, '../../../dist/cni/main.js')

/** Why no chain can be called here, or false. */
export const pluginsMissing: string | false = existsSync(join(REFERENCE, 'ptp'))
  ? false
  : 'the reference CNI plugins are not installed (Debian: containernetworking-plugins)'

export type Json = Readonly<Record<string, unknown>>

/** A network as a runtime finds it in /etc/cni/net.d. */
export interface Conflist {
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly (Json & { readonly type: string })[]
}

/** A pod's sandbox as a runtime has made it. */
export interface Sandbox {
  readonly id: string
  readonly netns: string
  /** NAMESPACE/NAME */
  readonly pod: string
}

/** What a plugin printed instead of a result. */
export class CniError extends Error {
  readonly plugin: string
  readonly code: number

  constructor(plugin: string, code: number, message: string) {
    super(message)
    this.plugin = plugin
    this.code = code
  }
}

/** A container runtime of one node, as far as the CNI specification has it. */
export class CniCaller {
  readonly #node: LabNode
  readonly #results = new Map<string, unknown>()

  constructor(node: LabNode) {
    this.#node = node
  }

  /** Calls the plugins in their order. `more` is laid over the first plugin's configuration (`args`). Throws CniError. */
  async add(network: Conflist, sandbox: Sandbox, more: Json = {}): Promise<Json> {
    let prevResult: unknown
    for (const [at, plugin] of network.plugins.entries())
      prevResult = await this.#call(
        'ADD',
        network,
        at === 0 ? { ...plugin, ...more } : plugin,
        sandbox,
        prevResult,
      )
    this.#results.set(sandbox.id, prevResult)
    return prevResult as Json
  }

  /** Likewise. Throws CniError of the first that finds fault. */
  async check(network: Conflist, sandbox: Sandbox): Promise<void> {
    for (const plugin of network.plugins)
      await this.#call('CHECK', network, plugin, sandbox, this.#results.get(sandbox.id))
  }

  /** Calls the plugins in the reverse order. Throws CniError. */
  async del(network: Conflist, sandbox: Sandbox): Promise<void> {
    for (const plugin of network.plugins.toReversed())
      await this.#call('DEL', network, plugin, sandbox, this.#results.get(sandbox.id))
  }

  /** One plugin of a network by itself, for what chains of 1.0.0 have not (STATUS, GC). Throws CniError. */
  async alone(command: string, network: Conflist, type: string, more: Json = {}): Promise<Json | null> {
    const plugin = network.plugins.find(each => each.type === type)
    return (await this.#call(command, network, { ...plugin, ...more }, null, undefined)) as Json | null
  }

  async #call(
    command: string,
    { cniVersion, name }: Conflist,
    plugin: Json,
    sandbox: Sandbox | null,
    prevResult: unknown,
  ): Promise<unknown> {
    const type = String(plugin.type)
    const program = type === 'podfence-cni' ? OWN : join(REFERENCE, type)
    const config = { cniVersion, name, ...plugin, ...(prevResult === undefined ? {} : { prevResult }) }
    const [namespace, pod] = sandbox?.pod.split('/') ?? []
    const { code, stdout, stderr } = await this.#node.run([program], {
      input: JSON.stringify(config),
      allowFailure: true,
      timeoutMs: 120_000,
      env: {
        CNI_COMMAND: command,
        CNI_PATH: REFERENCE,
        ...(sandbox && {
          CNI_CONTAINERID: sandbox.id,
          CNI_NETNS: sandbox.netns,
          CNI_IFNAME: 'eth0',
          CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${pod};K8S_POD_INFRA_CONTAINER_ID=${sandbox.id}`,
        }),
      },
    })
    const printed = stdout.trim() === '' ? null : JSON.parse(stdout)
    if (code === 0) return printed
    throw new CniError(type, printed?.code ?? -1, printed?.msg ?? `${stdout}${stderr}`)
  }
}
