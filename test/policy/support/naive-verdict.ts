import { type Cidr, cidrContains, parseAddress } from '../../../src/model/cidr.ts'
import type { Selector } from '../../../src/model/selector.ts'
import type { Action, Direction, PortRange, Rule, RuleMatch } from '../../../src/model/values.ts'
import type { LocalEndpoint, Packet } from '../../../src/policy/outcome.ts'
import type { JudgeOptions } from '../../../src/policy/verdict.ts'
import type { Oracle } from './oracle.ts'

/** Decides a packet from the model's own rules, without effective rules, sets kept up to date, or fast paths. */
export function naivelyAllowed(oracle: Oracle, packet: Packet, options: JudgeOptions): boolean {
  const owner = (address: string) =>
    oracle
      .locals()
      .sort((left, right) => (left.id < right.id ? -1 : 1))
      .find(({ addresses4, addresses6 }) => [...addresses4, ...addresses6].includes(address))
  const sender = packet.path === 'from-node' ? undefined : owner(packet.source)
  const receiver = packet.path === 'to-node' ? undefined : owner(packet.destination)
  const side = (endpoint: LocalEndpoint | undefined, direction: Direction) => {
    if (endpoint === undefined) return true
    if (endpoint.closed !== null) return false
    const { addresses4, addresses6 } = endpoint
    const own = [...addresses4, ...addresses6].includes(packet.destination)
    if (own && (direction === 'outbound' || sender?.id === endpoint.id)) return true
    return stackAllows(oracle, endpoint, direction, packet)
  }
  if (packet.path === 'from-node') return options.nodeToWorkload === 'allow' || side(receiver, 'inbound')
  if (packet.path === 'to-node' && sender !== undefined) {
    if (options.workloadToNode === 'drop') return false
    if (packet.destinationPort === 53) return true
  }
  return side(sender, 'outbound') && side(receiver, 'inbound')
}

function stackAllows(oracle: Oracle, endpoint: LocalEndpoint, direction: Direction, packet: Packet): boolean {
  const { tiers, profiles } = direction === 'inbound' ? endpoint.ingress : endpoint.egress
  for (const { lists } of tiers) {
    const decision = lists.map(id => decide(oracle, id, packet)).find(each => each !== null)
    if (decision !== 'next-tier') return decision === 'allow'
  }
  const decisions = profiles.map(id => decide(oracle, id, packet))
  return decisions.find(decision => decision === 'allow' || decision === 'deny') === 'allow'
}

function decide(oracle: Oracle, list: string, packet: Packet): 'allow' | 'deny' | 'next-tier' | null {
  const [kind, name, direction] = list.split(':') as ['policy' | 'profile', string, Direction]
  if (oracle.closed(kind, name) !== null) return 'deny'
  for (const rule of oracle.rules(kind, name, direction)) {
    if (rule.action === 'log') continue
    const match = matches(oracle, rule, packet)
    // In doubt nothing is allowed.
    if (match === 'perhaps' && rule.action !== 'allow') return 'deny'
    if (match === 'yes') return rule.action
  }
  return null
}

type Match = 'yes' | 'no' | 'perhaps'

function matches(oracle: Oracle, rule: Rule, packet: Packet): Match {
  const { action, is, not, ipVersion } = rule
  const nets = [is.srcNet, is.dstNet, not.srcNet, not.dstNet].filter(net => net !== undefined)
  const families = nets.map(({ family }) => family)
  if (ipVersion !== undefined) families.push(ipVersion)
  if (is.protocol === 1) families.push(4)
  if (is.protocol === 58) families.push(6)
  if (families.some(family => family !== packet.family)) return 'no'
  if (is.protocol !== undefined && is.protocol !== packet.protocol) return 'no'
  if (not.protocol === packet.protocol) return 'no'
  if (is.icmpType !== undefined && !icmp(is, packet)) return 'no'
  if (not.icmpType !== undefined && icmp(not, packet)) return 'no'
  const plain =
    net(is.srcNet, packet.source) !== false &&
    net(is.dstNet, packet.destination) !== false &&
    net(not.srcNet, packet.source) !== true &&
    net(not.dstNet, packet.destination) !== true &&
    port(is.srcPorts, packet.sourcePort) !== false &&
    port(is.dstPorts, packet.destinationPort) !== false &&
    port(not.srcPorts, packet.sourcePort) !== true &&
    port(not.dstPorts, packet.destinationPort) !== true
  if (!plain) return 'no'
  const sets = [
    membership(oracle, action, packet.source, is.srcTag, not.srcTag),
    membership(oracle, action, packet.source, is.srcSelector, not.srcSelector),
    membership(oracle, action, packet.destination, is.dstTag, not.dstTag),
    membership(oracle, action, packet.destination, is.dstSelector, not.dstSelector),
  ]
  return sets.includes('no') ? 'no' : sets.includes('perhaps') ? 'perhaps' : 'yes'
}

function icmp({ icmpType, icmpCode }: RuleMatch, packet: Packet): boolean {
  return icmpType === packet.icmpType && (icmpCode === undefined || icmpCode === packet.icmpCode)
}

function net(cidr: Cidr | undefined, address: string): boolean | undefined {
  return cidr === undefined ? undefined : cidrContains(cidr, parseAddress(address)!)
}

function port(ranges: readonly PortRange[] | undefined, value: number | undefined): boolean | undefined {
  return ranges?.some(({ first, last }) => value !== undefined && first <= value && value <= last)
}

function membership(
  oracle: Oracle,
  action: Action,
  address: string,
  wanted: string | Selector | undefined,
  unwanted: string | Selector | undefined,
): Match {
  if (wanted !== undefined && unwanted !== undefined && idOf(wanted) === idOf(unwanted)) return 'no'
  // A deny does not ask an incomplete set at all.
  const asks = (set: string | Selector | undefined) =>
    set !== undefined && !(action === 'deny' && oracle.lacks(set))
  const inWanted = asks(wanted) ? isMember(oracle, wanted!, address) : 'yes'
  const inUnwanted = asks(unwanted) ? isMember(oracle, unwanted!, address) : 'no'
  if (inWanted === 'no' || inUnwanted === 'yes') return 'no'
  return inWanted === 'perhaps' || inUnwanted === 'perhaps' ? 'perhaps' : 'yes'
}

/** Who is in is in, also where others may be missing. */
function isMember(oracle: Oracle, set: string | Selector, address: string): Match {
  if (oracle.members(set).has(address)) return 'yes'
  return oracle.lacks(set) ? 'perhaps' : 'no'
}

function idOf(set: string | Selector): string {
  return typeof set === 'string' ? `tag:${set}` : `selector:${set.text}`
}
