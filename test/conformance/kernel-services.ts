import { toolName } from '../../src/kernel/backend.ts'
import type { LabNode } from '../../src/lab/node.ts'
import type { Family } from '../../src/model/values.ts'

/** One call of a service, told from others by its source port: the same service may lead to several pods. */
export interface ServiceCall {
  readonly family: Family
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly sourcePort: number
  /** The service's own address and port. */
  readonly address: string
  readonly port: number
  /** The pod behind it, and its port. */
  readonly server: string
  readonly serverPort: number
}

/**
 * Makes a node translate these calls, and no others, as a service proxy does: the destination where the packet is sent
 * or comes in from a pod, and the source as well where a pod has called itself.
 */
export async function serveCalls(node: LabNode, calls: readonly ServiceCall[]): Promise<void> {
  for (const family of [4, 6] as const) {
    const own = calls.filter(call => call.family === family)
    const lines = own.map(({ protocol, sourcePort, address, port, server, serverPort }) => {
      const target = family === 4 ? server : `[${server}]`
      const ports = `-p ${protocol} --sport ${sourcePort} --dport ${port}`
      return `-A ${CALLS} -d ${address} ${ports} -j DNAT --to-destination ${target}:${serverPort}`
    })
    const hairpins = [...new Set(own.map(({ server }) => server))]
    const input = [
      '*nat',
      ...[CALLS, HAIRPINS].map(chain => `:${chain} - [0:0]`),
      ...lines,
      ...hairpins.map(server => `-A ${HAIRPINS} -s ${server} -d ${server} -j MASQUERADE`),
      'COMMIT',
      '',
    ]
    await node.run([toolName(node.backend, family, 'restore'), '--noflush', '-w'], {
      input: input.join('\n'),
    })
  }
}

const CALLS = 'case-calls'
const HAIRPINS = 'case-hairpins'

/** Makes a node ask those chains, once. */
export async function prepareCalls(node: LabNode): Promise<void> {
  await serveCalls(node, [])
  for (const family of [4, 6] as const)
    for (const [hook, chain] of [
      ['PREROUTING', CALLS],
      ['OUTPUT', CALLS],
      ['POSTROUTING', HAIRPINS],
    ] as const)
      await node.iptables(family, ['-t', 'nat', '-A', hook, '-j', chain])
}
