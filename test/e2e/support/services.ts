import { toolName } from '../../../src/kernel/backend.ts'
import type { MatrixPlace } from '../../../src/lab/matrix.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import type { Family } from '../../../src/model/values.ts'

/** A service address for each server; the last number is the server's place in the list. */
export function serviceAddress(servers: readonly MatrixPlace[], server: MatrixPlace, family: Family): string {
  const number = 10 + servers.findIndex(({ name }) => name === server.name)
  return family === 4 ? `10.96.0.${number}` : `fd96::${number.toString(16)}`
}

/** Traffic to these ports leaves the client's node under the node's own address. */
export const MASQUERADED = '7002:7003'

/**
 * What a service proxy does on a client's node, in as few rules as show it: service addresses become their
 * servers', for what comes from elsewhere and for the node's own; some ports are masqueraded.
 */
export async function serviceRules(
  node: LabNode,
  servers: readonly MatrixPlace[],
  families: readonly Family[],
): Promise<void> {
  for (const family of families) {
    const lines = servers.flatMap(server => {
      const target = family === 4 ? server.address4 : server.address6
      const words = `-d ${serviceAddress(servers, server, family)} -j DNAT --to-destination ${target}`
      return [`-A PREROUTING ${words}`, `-A OUTPUT ${words}`]
    })
    const masquerade = ['tcp', 'udp'].map(
      protocol => `-A POSTROUTING -p ${protocol} --dport ${MASQUERADED} -j MASQUERADE`,
    )
    const input = ['*nat', ...lines, ...masquerade, 'COMMIT', ''].join('\n')
    await node.run([toolName(node.backend, family, 'restore'), '--noflush', '-w'], { input })
  }
}
