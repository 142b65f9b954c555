/** Everything that shapes the rendered text beside policy itself. All of it comes from the configuration. */
export interface RenderOptions {
  /** Interfaces whose names start so are routed workload interfaces: `['cali']`. */
  readonly interfacePrefixes: readonly string[]
  /** Bridges that carry workloads: `['cbr0']`. */
  readonly bridges: readonly string[]
  /** At least three bits, away from kube-proxy's 0x4000 and 0x8000. The lowest three are used. */
  readonly markMask: number
  /** What FORWARD does with an allowed packet. */
  readonly onAllow: 'accept' | 'return'
  /** The node's own traffic to its workloads: always let through, or judged by their ingress policy. */
  readonly nodeToWorkload: 'allow' | 'policy'
  /** A workload's traffic to its own node: DHCP and DNS, and what its egress policy allows; or nothing. */
  readonly workloadToNode: 'allow' | 'drop'
  /** The group and the rate also hold for rules whose action is `log`. */
  readonly dropLog: { readonly enabled: boolean; readonly group: number; readonly perSecond: number }
  /** How many seconds a cut connection stays in the cut set; 600 when absent. */
  readonly cutTimeout?: number
  /**
   * Whether br_netfilter is there; true when absent. Without it no bridge endpoint can be told from another,
   * so they are closed; and no rule matches on a bridge port, since the kernel would load br_netfilter for it.
   */
  readonly bridgeFilter?: boolean
  /**
   * This host's /etc/protocols, number to name: iptables-save prints a protocol by that name. Without it
   * the rarer protocols are written as numbers, and a read-back shows them by name.
   */
  readonly protocolNames?: ReadonlyMap<number, string>
}

/** How an endpoint hangs on this node: a routed interface of its own, or a bridge. */
export type Attachment =
  | { readonly kind: 'routed'; readonly interface: string }
  /** Null where unknown; never both. */
  | { readonly kind: 'bridge'; readonly port: string | null; readonly bridge: string | null }
  /** Behind one of the workload interfaces or bridges, nobody has said which. */
  | { readonly kind: 'unknown' }

/**
 * No name: unknown. An interface name that starts with a workload prefix is routed; a bridge's own name is a bridge endpoint
 * with an unknown port; any other name is the port of a bridge, which one is known where there is but one.
 */
export function attachmentOf(
  name: string | null,
  options: Pick<RenderOptions, 'interfacePrefixes' | 'bridges'>,
): Attachment {
  if (name === null) return { kind: 'unknown' }
  if (options.bridges.includes(name)) return { kind: 'bridge', port: null, bridge: name }
  if (options.interfacePrefixes.some(prefix => name.startsWith(prefix)))
    return { kind: 'routed', interface: name }
  const [only, ...more] = new Set(options.bridges)
  return { kind: 'bridge', port: name, bridge: more.length === 0 ? (only ?? null) : null }
}
