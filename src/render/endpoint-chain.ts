import type { Family } from '../model/values.ts'
import type { PolicyStack, RuleListId } from '../policy/outcome.ts'
import { DROP, goto, jump, RETURN, rule, setMark } from './action.ts'
import type { Chain } from './chain.ts'
import {
  destination,
  hostNet,
  inInterface,
  inPort,
  type Match,
  marked,
  outInterface,
  source,
  sourceMac,
  state,
  unmarked,
} from './match.ts'
import type { PlacedEndpoint } from './placed-endpoint.ts'
import { ALLOW_CHAIN } from './rule-list.ts'
import { messageText } from './safe-text.ts'
import { dropRules, type Style } from './style.ts'

export interface EndpointChainContext {
  readonly style: Style
  /** The chain of a list; null when there is none, and the list denies everything. */
  listName(id: RuleListId): string | null
}

/** By what its chains claim their names. */
export function endpointIdentity(id: string, direction: 'from' | 'to'): string {
  return `endpoint ${direction} ${id}`
}

/** Whom its chains serve, as messages about them say. */
export function endpointOwner(id: string, direction: 'from' | 'to'): string {
  return messageText(`endpoint ${id} ${direction}`)
}

/**
 * What a workload may send. Its caller has found the source address to be this endpoint's and has cleared
 * ACCEPT and PASS. It comes back with ACCEPT set, or drops.
 */
export function fromChain(
  endpoint: PlacedEndpoint,
  name: string,
  family: Family,
  context: EndpointChainContext,
): Chain {
  const title = `from/${endpoint.title}`
  const body =
    endpoint.closed !== null
      ? dropRules(context.style, [], `closed:${title}`)
      : [
          ...cameElsewhere(endpoint).map(match => rule([match], DROP)),
          ...endpoint.addresses[family].map(own => rule([destination(hostNet(own))], goto(ALLOW_CHAIN))),
          ...stackRules(endpoint.egress, title, context),
        ]
  return {
    family,
    table: 'filter',
    name,
    rank: 'endpoint',
    owner: endpointOwner(endpoint.id, 'from'),
    title,
    body,
  }
}

/**
 * What may reach a workload; its caller has found the destination address to be this endpoint's. The
 * outgoing interface counts in FORWARD only: in OUTPUT, a packet to a service address still names the old route.
 */
export function toChain(
  endpoint: PlacedEndpoint,
  name: string,
  family: Family,
  context: EndpointChainContext,
): Chain {
  const title = `to/${endpoint.title}`
  const { style } = context
  const body: string[] = []
  if (endpoint.closed !== null) body.push(...dropRules(style, [], `closed:${title}`))
  else {
    for (const match of leavesElsewhere(endpoint, style))
      body.push(rule([match, marked(style.marks.forwarded)], DROP))
    for (const itself of cameFromItself(endpoint, style))
      for (const own of endpoint.addresses[family])
        body.push(rule([source(hostNet(own)), ...itself], goto(ALLOW_CHAIN)))
    body.push(...stackRules(endpoint.ingress, title, context))
  }
  const owner = endpointOwner(endpoint.id, 'to')
  return { family, table: 'filter', name, rank: 'endpoint', owner, title, body }
}

/** Matches that are each true of a packet which carries this endpoint's address but is not from it. */
function cameElsewhere({ attachment, mac }: PlacedEndpoint): Match[] {
  if (attachment?.kind === 'routed') {
    const otherInterface = inInterface(attachment.interface, true)
    return mac === null ? [otherInterface] : [otherInterface, sourceMac(mac, true)]
  }
  if (attachment === null || attachment.kind === 'unknown') return []
  if (attachment.port !== null) return [inPort(attachment.port, true)]
  return attachment.bridge === null ? [] : [inInterface(attachment.bridge, true)]
}

/**
 * Matches that are each true of a forwarded packet which is for this endpoint's address but does not leave
 * towards it. Where its bridge is one of several, it is at least no routed interface, as far as names tell.
 */
function leavesElsewhere({ attachment }: PlacedEndpoint, style: Style): Match[] {
  if (attachment === null || attachment.kind === 'unknown') return []
  const device = attachment.kind === 'routed' ? attachment.interface : attachment.bridge
  if (device !== null) return [outInterface(device, true)]
  const told = style.options.interfacePrefixes.filter(
    prefix => !style.bridges.some(bridge => bridge.startsWith(prefix)),
  )
  return [...new Set(told)].map(prefix => outInterface(`${prefix}+`))
}

/**
 * How a workload's packet comes back to itself: each by itself says so. Where the interface or bridge port is unknown, any
 * neighbour could send with this address as source and destination; a real hairpin has come through a service address,
 * since a workload that means itself never puts the packet on the wire.
 */
function cameFromItself({ attachment }: PlacedEndpoint, { gates }: Style): Match[][] {
  if (attachment === null) return []
  if (attachment.kind === 'routed') return [[inInterface(attachment.interface)]]
  if (attachment.kind === 'unknown') return gates.map(name => [inInterface(name), state('DNAT')])
  if (attachment.port !== null) return [[inPort(attachment.port)]]
  return attachment.bridge === null ? [] : [[inInterface(attachment.bridge), state('DNAT')]]
}

/** Tiers, then profiles, then the end: what nothing has allowed is dropped. */
function stackRules(stack: PolicyStack, title: string, context: EndpointChainContext): string[] {
  const { style } = context
  const { accept, pass } = style.marks
  const notPassed = unmarked(pass)
  const allowed = rule([marked(accept)], RETURN)
  const lines = [rule([], setMark(0, accept + pass))]
  for (const [index, tier] of stack.tiers.entries()) {
    if (index > 0) lines.push(rule([], setMark(0, pass)))
    for (const id of tier.lists) lines.push(...askList(id, [notPassed], title, context), allowed)
    lines.push(...dropRules(style, [notPassed], `tier:${tier.name}:${title}`))
  }
  for (const id of stack.profiles) lines.push(...askList(id, [], title, context), allowed)
  return [...lines, ...dropRules(style, [], `end:${title}`)]
}

function askList(
  id: RuleListId,
  when: readonly Match[],
  title: string,
  context: EndpointChainContext,
): string[] {
  const name = context.listName(id)
  return name === null ? dropRules(context.style, when, `closed:${title}`) : [rule(when, jump(name))]
}
