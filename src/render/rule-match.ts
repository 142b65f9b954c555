import { type Cidr, cidrContains, cidrOverlap, formatCidr } from '../model/cidr.ts'
import { protocolHasPorts, TCP, UDP } from '../model/protocol.ts'
import type { Family } from '../model/values.ts'
import type { EffectiveMatch, EffectiveRule, SetId } from '../policy/outcome.ts'
import type { SetRole } from './kernel-delta.ts'
import {
  destination,
  icmp,
  icmpProtocol,
  inSet,
  type Match,
  multiport,
  type PortMatch,
  portMatch,
  protocol,
  source,
} from './match.ts'
import { type PortDemand, portDemand, slotPieces } from './port-set.ts'
import { roleOf } from './set-roles.ts'

export interface RuleMatchContext {
  readonly protocolNames?: ReadonlyMap<number, string> | undefined
  /** The kernel set of an id in a family and a role; null when there is none, and the match cannot be made. */
  setName(id: SetId, family: Family, role: SetRole): string | null
}

/** A rule matches when any one of these does; none: it never matches. */
export type Alternatives = readonly (readonly Match[])[]
const NEVER: Alternatives = []

/** More rules than this from one are never what somebody wants, and would stall the kernel. */
const MOST_ALTERNATIVES = 1024

/**
 * IPv6 headers that the kernel skips to find the protocol (routing, fragment, authentication, destination
 * options): a rule on one never matches, and ip6tables warns of it.
 */
const EXTENSION_HEADERS: ReadonlySet<number> = new Set([43, 44, 51, 60])

/** Matches so far; `never` when they exclude each other. */
class Demand {
  readonly matches: Match[] = []
  never = false
  readonly #widens: boolean

  constructor(rule: EffectiveRule) {
    this.#widens = rule.action === 'deny'
  }

  /** What netfilter cannot say is left out of a deny, which then covers more, and stops any other rule. */
  cannotSay(): void {
    if (!this.#widens) this.never = true
  }
}

/**
 * What one rule asks of a packet of `family`, cheap matches first, as sets of matches of which any one
 * suffices. A rule that is not for this family, or that names anything of the other, never matches in it.
 */
export function alternativesOf(rule: EffectiveRule, family: Family, context: RuleMatchContext): Alternatives {
  if (!rule.families.includes(family)) return NEVER
  const demand = new Demand(rule)
  addNets(demand, rule.is.srcNet, rule.not.srcNet, family, source)
  addNets(demand, rule.is.dstNet, rule.not.dstNet, family, destination)
  addProtocol(demand, rule, family, context)
  const ports = addPorts(demand, rule)
  addIcmp(demand, rule, family)
  addSets(demand, rule.is, false, id => context.setName(id, family, roleOf(rule.action, false)))
  addSets(demand, rule.not, true, id => context.setName(id, family, roleOf(rule.action, true)))
  if (demand.never || ports.length === 0) return NEVER
  return ports.map(portMatches => [...portMatches, ...demand.matches])
}

function addNets(
  demand: Demand,
  is: Cidr | undefined,
  not: Cidr | undefined,
  family: Family,
  side: typeof source,
): void {
  for (const net of [is, not]) if (net !== undefined && net.family !== family) demand.never = true
  if (demand.never) return
  if (is !== undefined && is.length > 0) demand.matches.push(side(formatCidr(is)))
  if (not === undefined) return
  // `! -s 0.0.0.0/0` matches nothing, and iptables-nft refuses it.
  if (not.length === 0) demand.never = true
  else if (is === undefined || is.length === 0) demand.matches.push(side(formatCidr(not), true))
  else if (not.length <= is.length && cidrContains(not, { family, value: is.base })) demand.never = true
  else if (cidrOverlap(is, not)) demand.cannotSay()
}

function addProtocol(demand: Demand, rule: EffectiveRule, family: Family, context: RuleMatchContext): void {
  const { is, not } = rule
  const skipped = (number: number) => family === 6 && EXTENSION_HEADERS.has(number)
  const asked = is.protocol ?? (is.icmpType === undefined ? undefined : icmpProtocol(family))
  if (asked !== undefined) {
    if (asked === not.protocol || skipped(asked) || asked === icmpProtocol(family === 4 ? 6 : 4))
      demand.never = true
    demand.matches.push(protocol(asked, false, context.protocolNames))
  } else if (not.protocol !== undefined && !skipped(not.protocol))
    demand.matches.push(protocol(not.protocol, true, context.protocolNames))
}

/** The ways to match the ports; one empty way when no port is asked for. */
function addPorts(demand: Demand, rule: EffectiveRule): Match[][] {
  const { is, not } = rule
  const from = portDemand(is.srcPorts, not.srcPorts)
  const to = portDemand(is.dstPorts, not.dstPorts)
  if (from.kind === 'never' || to.kind === 'never') return []
  if (from.kind === 'any' && to.kind === 'any') return [[]]
  const number = is.protocol
  if (number === undefined || !protocolHasPorts(number)) {
    demand.cannotSay()
    return [[]]
  }
  const ways: Match[][] = []
  for (const fromWay of sideWays(from))
    for (const toWay of sideWays(to)) ways.push(bothSides(number, fromWay, toWay))
  if (ways.length <= MOST_ALTERNATIVES) return ways
  demand.cannotSay()
  return [[]]
}

type SideWay = { readonly negated: boolean; readonly pieces: ReturnType<typeof slotPieces> } | null

/** A positive list becomes one way for each piece, a negated one a single way with all its pieces. */
function sideWays(demand: PortDemand): SideWay[] {
  if (demand.kind === 'some')
    return slotPieces(demand.ranges).map(piece => ({ negated: false, pieces: [piece] }))
  return demand.kind === 'none' ? [{ negated: true, pieces: slotPieces(demand.ranges) }] : [null]
}

function bothSides(number: number, from: SideWay, to: SideWay): Match[] {
  const single = (way: SideWay): PortMatch | undefined => {
    const [range, ...more] = (way?.pieces ?? []).flat()
    const native = number === TCP || number === UDP
    return native && way && range && more.length === 0 ? { range, negated: way.negated } : undefined
  }
  const [fromOne, toOne] = [single(from), single(to)]
  const matches: Match[] = []
  if (fromOne || toOne)
    matches.push(
      portMatch(number, { ...(fromOne && { source: fromOne }), ...(toOne && { destination: toOne }) }),
    )
  if (!fromOne)
    for (const piece of from?.pieces ?? []) matches.push(multiport('source', piece, from!.negated))
  if (!toOne) for (const piece of to?.pieces ?? []) matches.push(multiport('destination', piece, to!.negated))
  return matches
}

/** Type and code are one condition, also when negated. To the kernel, type 255 of IPv4 means any type. */
function addIcmp(demand: Demand, { is, not }: EffectiveRule, family: Family): void {
  const fields = [is.icmpType, is.icmpCode, not.icmpType, not.icmpCode]
  if (fields.every(field => field === undefined)) return
  const asked = is.protocol ?? (is.icmpType === undefined ? undefined : icmpProtocol(family))
  const sayable =
    asked === icmpProtocol(family) &&
    is.icmpType !== 255 &&
    not.icmpType !== 255 &&
    (is.icmpType !== undefined || is.icmpCode === undefined) &&
    (not.icmpType !== undefined || not.icmpCode === undefined)
  if (!sayable) demand.cannotSay()
  else {
    if (is.icmpType !== undefined) demand.matches.push(icmp(family, is.icmpType, is.icmpCode ?? null))
    if (not.icmpType !== undefined)
      demand.matches.push(icmp(family, not.icmpType, not.icmpCode ?? null, true))
  }
}

function addSets(
  demand: Demand,
  match: EffectiveMatch,
  negated: boolean,
  nameOf: (id: SetId) => string | null,
): void {
  const sides = [
    ['src', match.srcSets],
    ['dst', match.dstSets],
  ] as const
  for (const [side, ids] of sides) {
    for (const id of ids ?? []) {
      const name = nameOf(id)
      if (name === null) demand.cannotSay()
      else demand.matches.push(inSet(name, side, negated))
    }
  }
}
