import type { PortRange } from '../model/values.ts'
import type { EffectiveMatch, EffectiveRule, Packet } from './outcome.ts'
import type { Probe } from './probe.ts'
import type { Side } from './rule-part.ts'
import type { PolicyView } from './view.ts'

const SIDES: readonly Side[] = ['src', 'dst']

/** Whether netfilter would take the packet for the rule: the rule's family, all of `is`, nothing of `not`. */
export function ruleMatches(rule: EffectiveRule, probe: Probe, view: PolicyView): boolean {
  const { packet } = probe
  return (
    rule.families.includes(packet.family) &&
    protocolMatches(rule, packet) &&
    icmpMatches(rule.is, packet, true) &&
    icmpMatches(rule.not, packet, false) &&
    SIDES.every(side => sideMatches(rule, probe, side, view))
  )
}

function protocolMatches({ is, not }: EffectiveRule, { protocol }: Packet): boolean {
  return (is.protocol === undefined || is.protocol === protocol) && not.protocol !== protocol
}

/** Type and code are one condition, also when negated. A packet without a type matches neither way. */
function icmpMatches({ icmpType, icmpCode }: EffectiveMatch, packet: Packet, wanted: boolean): boolean {
  if (icmpType === undefined) return true
  if (packet.icmpType === undefined) return false
  const same = packet.icmpType === icmpType && (icmpCode === undefined || packet.icmpCode === icmpCode)
  return same === wanted
}

function sideMatches({ is, not }: EffectiveRule, probe: Probe, side: Side, view: PolicyView): boolean {
  const source = side === 'src'
  return (
    portMatches(source ? is.srcPorts : is.dstPorts, probe.port(side), true) &&
    portMatches(source ? not.srcPorts : not.dstPorts, probe.port(side), false) &&
    netMatches(is, probe, side, true) &&
    netMatches(not, probe, side, false) &&
    ((source ? is.srcSets : is.dstSets) ?? []).every(id => isMember(view, id, probe.address(side))) &&
    !((source ? not.srcSets : not.dstSets) ?? []).some(id => isMember(view, id, probe.address(side)))
  )
}

/** A packet without ports matches neither way, as in the kernel. */
function portMatches(
  ranges: readonly PortRange[] | undefined,
  port: number | undefined,
  wanted: boolean,
): boolean {
  if (ranges === undefined) return true
  return port !== undefined && ranges.some(({ first, last }) => first <= port && port <= last) === wanted
}

function netMatches(match: EffectiveMatch, probe: Probe, side: Side, wanted: boolean): boolean {
  const net = side === 'src' ? match.srcNet : match.dstNet
  return net === undefined || probe.isIn(net, side) === wanted
}

function isMember(view: PolicyView, id: string, address: string): boolean {
  return view.setMembers(id)?.has(address) ?? false
}
