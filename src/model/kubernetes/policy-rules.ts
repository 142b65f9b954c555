import { portToJson } from '../port.ts'
import type { PortRange } from '../values.ts'
import { type PortReference, portReference } from './named-ports.ts'
import type { PolicyDirection, PolicyRule } from './network-policy.ts'
import type { PolicyPeer } from './policy-peer.ts'
import type { PolicyPort, Protocol } from './policy-port.ts'
import { inNamespace, portLabel } from './reserved-label.ts'

/** An allow rule of the v1 model, but for its action. */
export interface RuleMatchJson {
  protocol?: Protocol
  src_selector?: string
  dst_selector?: string
  src_net?: string
  dst_net?: string
  dst_ports?: (number | string)[]
}

/** What a rule asks of the destination port: a protocol with some of its ports, or with the name of one. */
interface PortsMatch {
  readonly protocol?: Protocol
  readonly ranges?: readonly PortRange[]
  readonly name?: string
}

type NumbersOf = (reference: PortReference) => readonly number[]

/** Sorted, and what touches or overlaps as one. */
function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const merged: PortRange[] = []
  for (const range of [...ranges].sort((left, right) => left.first - right.first)) {
    const before = merged.at(-1)
    if (before === undefined || range.first > before.last + 1) merged.push(range)
    else merged[merged.length - 1] = { first: before.first, last: Math.max(before.last, range.last) }
  }
  return merged
}

/** The ports of a rule, by protocol; no ports at all mean any packet. */
function portsMatches(ports: readonly PolicyPort[]): PortsMatch[] {
  if (ports.length === 0) return [{}]
  return (['tcp', 'udp', 'sctp'] as const).flatMap(protocol => {
    const own = ports.filter(port => port.protocol === protocol).map(({ port }) => port)
    if (own.includes(null)) return [{ protocol }]
    const ranges = mergeRanges(own.filter(port => typeof port === 'object' && port !== null))
    const names = new Set(own.filter(port => typeof port === 'string'))
    return [
      ...(ranges.length === 0 ? [] : [{ protocol, ranges }]),
      ...Array.from(names, name => ({ protocol, name })),
    ]
  })
}

/** The rules of one direction of a policy, as matches of v1 rules. */
export class PolicyRules {
  readonly #direction: PolicyDirection
  readonly #namespace: string
  readonly #rules: readonly PolicyRule[]

  /** `namespace`: the policy's. */
  constructor(direction: PolicyDirection, namespace: string, rules: readonly PolicyRule[]) {
    this.#direction = direction
    this.#namespace = namespace
    this.#rules = rules
  }

  /** Without doubles. `numbersOf`: which numbers there are for a named port. */
  matches(numbersOf: NumbersOf): RuleMatchJson[] {
    const matches = new Map<string, RuleMatchJson>()
    for (const { peers, ports } of this.#rules)
      for (const peer of peers.length === 0 ? [null] : peers)
        for (const port of portsMatches(ports))
          for (const match of this.#match(peer, port, numbersOf)) matches.set(JSON.stringify(match), match)
    return [...matches.values()]
  }

  /** The named ports whose numbers the rules depend on. */
  references(): PortReference[] {
    const references = new Set<PortReference>()
    this.matches(reference => {
      references.add(reference)
      return []
    })
    return [...references]
  }

  #match(peer: PolicyPeer | null, port: PortsMatch, numbersOf: NumbersOf): RuleMatchJson[] {
    const side = this.#direction === 'ingress' ? 'src' : 'dst'
    const protocol: RuleMatchJson = port.protocol === undefined ? {} : { protocol: port.protocol }
    const ports = port.ranges === undefined ? {} : { dst_ports: port.ranges.map(portToJson) }
    const withPeer: RuleMatchJson[] =
      peer === null
        ? [protocol]
        : peer.kind === 'pods'
          ? [{ ...protocol, [`${side}_selector`]: peer.selector }]
          : peer.networks.map(network => ({ ...protocol, [`${side}_net`]: network }))
    if (port.name === undefined) return withPeer.map(match => ({ ...match, ...ports }))
    return this.#numbered(withPeer, peer, port.protocol!, port.name, numbersOf)
  }

  /** A named port means another number on each destination, so there is a rule for each number. */
  #numbered(
    matches: readonly RuleMatchJson[],
    peer: PolicyPeer | null,
    protocol: Protocol,
    name: string,
    numbersOf: NumbersOf,
  ): RuleMatchJson[] {
    const destinations =
      this.#direction === 'ingress' ? this.#namespace : peer?.kind === 'pods' ? peer.namespace : null
    return numbersOf(portReference(destinations, protocol, name)).flatMap(number => {
      const label = `${portLabel(`${protocol}.${name}`)} == '${number}'`
      return matches.map(match => {
        const scope =
          match.dst_selector ?? (this.#direction === 'ingress' ? inNamespace(this.#namespace) : undefined)
        const selector = scope === undefined ? label : `${scope} && ${label}`
        return { ...match, dst_selector: selector, dst_ports: [number] }
      })
    })
  }
}
