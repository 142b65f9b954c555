import { formatCidr } from '../cidr.ts'
import { allOf } from './label-selector.ts'
import type { NetworkPolicy, Peer, PeerRule } from './network-policy.ts'
import type { PolicyPort, PortProtocol } from './policy-port.ts'
import { portLabel } from './reserved-label.ts'

/** A rule of the v1 model as JSON. */
export interface RuleJson {
  action: 'allow' | 'next-tier'
  protocol?: string
  src_selector?: string
  src_net?: string
  src_ports?: (number | string)[]
  dst_selector?: string
  dst_net?: string
  dst_ports?: (number | string)[]
  icmp_type?: number
  icmp_code?: number
}

/** The numbers that pods have under a port label; which pods, the asker knows. Ascending. */
export type NumbersOf = (label: string) => readonly string[]

/** Ports of one protocol; with a term of the destination's selector where a name must have led to the number. */
interface PortMatch {
  readonly protocol?: PortProtocol
  readonly ports?: (number | string)[]
  readonly term?: string
}

/** The labels of all named ports that a direction's rules ask for. */
export function portLabelsOf(rules: NetworkPolicy['ingress']): Set<string> {
  const named = (rules ?? []).flatMap(({ ports }) => ports ?? []).filter(port => 'name' in port)
  return new Set(named.map(({ protocol, name }) => portLabel(protocol, name)))
}

/** One direction of a NetworkPolicy as rules of the v1 model, each with `action`. */
export function policyRules(
  rules: readonly PeerRule[],
  direction: 'ingress' | 'egress',
  action: RuleJson['action'],
  numbersOf: NumbersOf,
): RuleJson[] {
  return rules.flatMap(({ peers, ports }) => {
    const matches = ports === null ? [{}] : portMatches(ports, numbersOf)
    const sides = direction === 'ingress' ? ingressSides : egressSides
    return matches.flatMap(match =>
      (peers ?? [null]).flatMap(peer =>
        sides(peer, match).map(side => ({
          action,
          ...(match.protocol === undefined ? {} : { protocol: match.protocol }),
          ...side,
          ...(match.ports === undefined ? {} : { dst_ports: match.ports }),
        })),
      ),
    )
  })
}

/** Each protocol's numbers together; a name gives one match for each number that it stands for somewhere. */
function portMatches(ports: readonly PolicyPort[], numbersOf: NumbersOf): PortMatch[] {
  const protocols = [...new Set(ports.map(({ protocol }) => protocol))]
  return protocols.flatMap((protocol): PortMatch[] => {
    const own = ports.filter(port => port.protocol === protocol)
    if (own.some(port => 'all' in port)) return [{ protocol }]
    const numbers = own.flatMap(port =>
      'first' in port ? [port.first === port.last ? port.first : `${port.first}:${port.last}`] : [],
    )
    const labels = new Set(own.flatMap(port => ('name' in port ? [portLabel(protocol, port.name)] : [])))
    return [
      ...(numbers.length === 0 ? [] : [{ protocol, ports: [...new Set(numbers)] }]),
      ...[...labels].flatMap(label =>
        numbersOf(label).map(number => ({
          protocol,
          ports: [Number(number)],
          term: `${label} == '${number}'`,
        })),
      ),
    ]
  })
}

/** The destination is whom the policy selects; a named port narrows that. */
function ingressSides(peer: Peer | null, { term }: PortMatch): Partial<RuleJson>[] {
  const own = term === undefined ? {} : { dst_selector: term }
  if (peer === null) return [own]
  if ('nets' in peer) return peer.nets.map(net => ({ src_net: formatCidr(net), ...own }))
  return [{ src_selector: allOf(peer.terms), ...own }]
}

/** Only a pod has named ports, so a name shuts out every address that is none's. */
function egressSides(peer: Peer | null, { term }: PortMatch): Partial<RuleJson>[] {
  const named = term === undefined ? [] : [term]
  if (peer !== null && 'terms' in peer) return [{ dst_selector: allOf([...peer.terms, ...named]) }]
  const selector = term === undefined ? {} : { dst_selector: term }
  if (peer === null) return [selector]
  return peer.nets.map(net => ({ dst_net: formatCidr(net), ...selector }))
}
