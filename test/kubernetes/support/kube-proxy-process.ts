import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { toolName } from '../../../src/kernel/backend.ts'
import { systemProcesses } from '../../../src/kernel/process.ts'
import { type AgentProcess, startAgent } from '../../../src/lab/agent-process.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import type { Probe } from '../../../src/lab/probe.ts'
import { FAMILIES, type Family } from '../../../src/model/values.ts'
import type { Scope } from '../../etcd.ts'
import type { Cluster } from './cluster.ts'
import { clusterTool } from './cluster-tool.ts'

const TOOL = clusterTool('kube-proxy')

/** Why there is no kube-proxy here, or false. */
export const kubeProxyMissing = TOOL.missing

/** Its children end when this process dies in whatever way. */
const PROCESSES = systemProcesses()
const PATIENCE_MS = 60_000
const METRICS_PORT = 10249
/** All pods of the laboratory, and nobody else. */
const POD_RANGES = '10.64.0.0/14,fd64::/14'
const CANARY = 'KUBE-PROXY-CANARY'

/**
 * What it leaves alone: the size of the connection table belongs to the whole machine, not to the node's namespace. The
 * short period is how often it looks whether its rules are still there.
 */
const FLAGS = [
  ...['--proxy-mode=iptables', `--cluster-cidr=${POD_RANGES}`],
  ...['--conntrack-max-per-core=0', '--conntrack-min=0'],
  ...['--conntrack-tcp-timeout-established=0', '--conntrack-tcp-timeout-close-wait=0'],
  ...['--conntrack-udp-timeout=0', '--conntrack-udp-timeout-stream=0'],
  ...['--iptables-sync-period=1s', '--iptables-min-sync-period=0s'],
  ...['--healthz-bind-address=127.0.0.1:10256', `--metrics-bind-address=127.0.0.1:${METRICS_PORT}`],
]

export interface KubeProxyPlace {
  readonly node: LabNode
  readonly cluster: Cluster
  readonly probe: Probe
}

/** The real kube-proxy of one node, in iptables mode and with the node's backend. */
export class KubeProxy {
  readonly #place: KubeProxyPlace
  #process: AgentProcess | null = null

  constructor(place: KubeProxyPlace) {
    this.#place = place
  }

  /** Starts it (again); resolves when it has written all its rules, in both families. */
  async start(): Promise<void> {
    const { node, cluster } = this.#place
    const started = startAgent(PROCESSES, {
      node,
      name: 'kube-proxy',
      env: { PATH: `${programsOf(node)}:${process.env.PATH}` },
      command: [
        TOOL.path!,
        `--kubeconfig=${cluster.kubeconfig}`,
        `--hostname-override=${node.name}`,
        ...FLAGS,
      ],
    })
    this.#process = started
    await started.waitUntil(async () => {
      const each = await this.#fullSyncs()
      return FAMILIES.every(family => (each.get(family) ?? 0) > 0)
    }, PATIENCE_MS)
  }

  /** Ends it; its rules stand, as they do when its pod is replaced. */
  async stop(): Promise<void> {
    await this.#process?.stop()
    this.#process = null
  }

  /** Takes away the chains by which it knows that nobody has flushed its rules; resolves when it has written all anew. */
  async rewrite(): Promise<void> {
    const before = await this.#fullSyncs()
    for (const family of FAMILIES)
      for (const table of ['mangle', 'nat', 'filter'])
        await this.#place.node.iptables(family, ['-t', table, '-X', CANARY])
    await this.#process!.waitUntil(async () => {
      const now = await this.#fullSyncs()
      return FAMILIES.every(family => now.get(family)! > before.get(family)!)
    }, PATIENCE_MS)
  }

  /** How often it has written all its rules since it was started. */
  async #fullSyncs(): Promise<ReadonlyMap<Family, number>> {
    const { probe, node } = this.#place
    const text = await probe.exchange(
      node,
      { address: '127.0.0.1', port: METRICS_PORT, timeoutMs: 3000 },
      'GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n',
    )
    const found = (text ?? '').matchAll(
      /^kubeproxy_sync_full_proxy_rules_duration_seconds_count\{ip_family="IPv([46])"\} (\d+)/gm,
    )
    return new Map([...found].map(([, family, count]) => [Number(family) as Family, Number(count)]))
  }
}

/** Starts it on a node; it ends with the test `t`. */
export async function startKubeProxy(t: Scope, place: KubeProxyPlace): Promise<KubeProxy> {
  const proxy = new KubeProxy(place)
  t.teardown(() => proxy.stop())
  await proxy.start()
  return proxy
}

/** A folder in which `iptables` and its like are those of the node's backend, as on a node that has only these. */
function programsOf(node: LabNode): string {
  const folder = join(node.stateDirectory, 'programs')
  mkdirSync(folder, { recursive: true })
  for (const family of FAMILIES)
    for (const verb of ['', 'save', 'restore'] as const) {
      const tool = toolName(node.backend, family, verb)
      const file = join(folder, tool.replace(`-${node.backend}`, ''))
      writeFileSync(file, `#!/bin/sh\nexec ${tool} "$@"\n`)
      chmodSync(file, 0o755)
    }
  return folder
}
