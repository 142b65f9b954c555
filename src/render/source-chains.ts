import type { Family } from '../model/values.ts'
import { DROP, goto, jump, RETURN, rule, setMark } from './action.ts'
import type { Chain } from './chain.ts'
import { SOURCE_CHAIN } from './dispatch.ts'
import { PREROUTING_CHAIN } from './hooks.ts'
import {
  destination,
  fromThisLink,
  icmpv6,
  inInterface,
  type Match,
  marked,
  reversePathFails,
  source,
  udpPorts,
} from './match.ts'
import { KNOWN_CHAIN } from './owner-rules.ts'
import type { Style } from './style.ts'

const ROUTED_CHAIN = 'podf-source-routed'
const BRIDGE_CHAIN = 'podf-source-bridge'
const LINK_CHAIN = 'podf-source-link'

/** Router advertisement and redirect: no workload may act as the router of its link. */
const ROUTER_TYPES = [134, 137]
/** Router and neighbour solicitation, neighbour advertisement. */
const NEIGHBOUR_TYPES = [133, 135, 136]
const LISTENER_REPORT = 143
/** 0.0.0.0/8 too: the reverse path check lets it through to everybody on the link. */
const LINK_SOURCES: Readonly<Record<Family, readonly string[]>> = {
  4: ['0.0.0.0/8'],
  6: ['fe80::/10', '::/128'],
}

/**
 * The source check: raw PREROUTING, so that it comes before connection tracking and a borrowed address
 * never meets the established rule. What passes returns to PREROUTING, all else is dropped.
 */
export function sourceChains(family: Family, style: Style): Chain[] {
  const chains = [sourceChain(family, LINK_CHAIN, -2, 'source/link-local', linkRules(family, style))]
  if (style.routed.length > 0)
    chains.push(sourceChain(family, ROUTED_CHAIN, -1, 'source/routed', routedRules(family)))
  if (style.bridges.length > 0)
    chains.push(
      knownChain(family, style),
      sourceChain(family, BRIDGE_CHAIN, -1, 'source/bridge', bridgeRules(family, style)),
    )
  const entry = [
    ...style.bridges.map(name => rule([inInterface(name)], goto(BRIDGE_CHAIN))),
    ...style.routed.map(name => rule([inInterface(name)], goto(ROUTED_CHAIN))),
  ]
  return [...chains, sourceChain(family, PREROUTING_CHAIN, 0, 'PREROUTING', entry)]
}

function sourceChain(
  family: Family,
  name: string,
  order: number,
  title: string,
  body: readonly string[],
): Chain {
  return { family, table: 'raw', name, rank: 'top', order, owner: `source check ${name}`, title, body }
}

/** A source must be routed to the interface it comes from. */
function routedRules(family: Family): string[] {
  return [...linkGate(family), rule([reversePathFails()], DROP)]
}

/** On a bridge no route tells one workload from another; a tree of the known addresses does. */
function bridgeRules(family: Family, { marks: { accept } }: Style): string[] {
  return [
    ...linkGate(family),
    rule([], setMark(0, accept)),
    rule([], jump(SOURCE_CHAIN)),
    rule([marked(accept, true)], DROP),
    rule([], setMark(0, accept)),
  ]
}

/** Where the tree sends what comes from its owner. */
function knownChain(family: Family, { marks: { accept } }: Style): Chain {
  const owner = `source check ${KNOWN_CHAIN}`
  const body = [rule([], setMark(accept, accept))]
  return { family, table: 'raw', name: KNOWN_CHAIN, rank: 'list', owner, title: 'source/known', body }
}

/** Link-local and unspecified sources are nobody's by address; they have a chain of their own. */
function linkGate(family: Family): string[] {
  const messages = family === 6 ? ROUTER_TYPES.map(type => rule(icmpv6(type), DROP)) : []
  return [...messages, ...LINK_SOURCES[family].map(net => rule([source(net)], goto(LINK_CHAIN)))]
}

/** What a workload may say before it has an address, or with that of its link. */
function linkRules(family: Family, style: Style): string[] {
  const passing: Match[][] = []
  if (family === 6) {
    passing.push(...NEIGHBOUR_TYPES.map(type => [...icmpv6(type), fromThisLink()]))
    passing.push(icmpv6(LISTENER_REPORT))
  }
  if (style.options.workloadToNode === 'allow')
    passing.push(
      family === 4
        ? [source('0.0.0.0/32'), destination('255.255.255.255/32'), ...udpPorts(68, 67)]
        : udpPorts(546, 547),
    )
  return [...passing.map(matches => rule(matches, RETURN)), rule([], DROP)]
}
