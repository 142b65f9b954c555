import { inRange, type NodeAddresses } from '../../src/lab/address-plan.ts'
import type { LabNode, NodeRequest } from '../../src/lab/node.ts'
import type { PodRequest } from '../../src/lab/pod.ts'
import { formatCidr, parseCidr } from '../../src/model/cidr.ts'
import { type CaseNode, type CasePod, type Expectation, ownAddress } from './case.ts'

/** Nodes with the addresses that the case gives them; the laboratory's own plan fills what it leaves out. */
export function nodeRequests(nodes: readonly CaseNode[]): NodeRequest[] {
  const bridges = nodes.map(({ ips }) => ({ four: bridge(ips, 'IPv4'), six: bridge(ips, 'IPv6') }))
  // A range that two nodes share says nothing about the way to a pod.
  const alone = (family: 'four' | 'six', range: string) =>
    bridges.filter(other => other[family]?.range === range).length === 1
  return nodes.map(({ name, ips }, index) => {
    const { four, six } = bridges[index]!
    const [address4, address6] = [ownAddress(ips, 'IPv4'), ownAddress(ips, 'IPv6')]
    const addresses: Partial<NodeAddresses> = {
      ...(address4 === null ? {} : { address4 }),
      ...(address6 === null ? {} : { address6 }),
      ...(four !== null && alone('four', four.range) ? { gateway4: four.gateway, bridge4: four.range } : {}),
      ...(six !== null && alone('six', six.range) ? { gateway6: six.gateway, bridge6: six.range } : {}),
    }
    return { name, addresses }
  })
}

/** The node's second address of a family is its bridge's, and its pods' gateway: of a /24 or /64, as is usual. */
function bridge(ips: readonly string[], family: Expectation['family']) {
  const first = ownAddress(ips, family)
  const gateway = ownAddress(
    ips.filter(ip => ip !== first),
    family,
  )
  const range = parseCidr(`${gateway}/${family === 'IPv4' ? 24 : 64}`)
  return gateway === null || range === null ? null : { gateway, range: formatCidr(range) }
}

/** The name of a pod in the laboratory. */
export function labName({ ns, name }: Pick<CasePod, 'ns' | 'name'>): string {
  return `${ns}.${name}`
}

/**
 * A pod on its node. Every second node has its pods on a bridge and the others have a link to each, so that each case
 * shows both, and what passes between them.
 */
export function podRequest(pod: CasePod, node: LabNode): PodRequest {
  const [address4, address6] = [ownAddress(pod.ips, 'IPv4'), ownAddress(pod.ips, 'IPv6')]
  const fits =
    (address4 === null || inRange(address4, node.bridge4)) &&
    (address6 === null || inRange(address6, node.bridge6))
  const kind = node.number % 2 === 0 && fits ? 'bridge' : 'routed'
  return { name: labName(pod), node, kind, address4, address6, hairpin: kind === 'bridge' }
}
