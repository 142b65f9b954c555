import { parseSingleAddress } from '../model/cidr.ts'
import type { Family } from '../model/values.ts'
import { DROP, goto, jump, RETURN, rule, setMark } from './action.ts'
import type { Chain } from './chain.ts'
import { FROM_CHAIN, TO_CHAIN } from './dispatch.ts'
import { FORWARD_CHAIN, INPUT_CHAIN, OUTPUT_CHAIN } from './hooks.ts'
import {
  destination,
  fromThisLink,
  hostNet,
  icmpv6,
  inInterface,
  inSet,
  marked,
  outInterface,
  source,
  state,
  tcpTo,
  udpPorts,
} from './match.ts'
import { ALLOW_CHAIN, NEXT_TIER_CHAIN } from './rule-list.ts'
import { cutSetName } from './sets.ts'
import { dropRules, type Style } from './style.ts'

const FORWARD_FROM_CHAIN = 'podf-forward-from'
const FORWARD_TO_CHAIN = 'podf-forward-to'
const FORWARD_IN_CHAIN = 'podf-forward-in'
const NODE_INPUT_CHAIN = 'podf-input'

const ESTABLISHED = state('RELATED,ESTABLISHED')
const INVALID = state('INVALID')

/** What hosts on one link must hear of each other, and of their routers and multicast listeners. */
const LINK_TYPES = [130, 131, 132, 133, 135, 136, 143]

/** What packets meet before established connections pass. It costs each of them, so only while it is needed. */
export interface Foremost {
  /** What was cut is looked for, while connection tracking still holds what is being cut. */
  readonly cutFirst: boolean
  /** Addresses (of both families) that carry nothing, while what is open with them is being ended. */
  readonly held: ReadonlySet<string>
}

/** The chains of filter that do not depend on policy. */
export function topChains(family: Family, style: Style, { cutFirst, held }: Foremost): Chain[] {
  const holding = [...held].flatMap(text => parseSingleAddress(text, family) ?? []).sort()
  const top = (name: string, order: number, title: string, body: readonly string[]): Chain => {
    return { family, table: 'filter', name, rank: 'top', order, owner: `top ${name}`, title, body }
  }
  const bit = (name: string, title: string, mark: number): Chain => {
    const body = [rule([], setMark(mark, mark))]
    return { family, table: 'filter', name, rank: 'list', order: -1, owner: `action ${title}`, title, body }
  }
  const from = style.gates.map(name => rule([inInterface(name)], goto(FORWARD_FROM_CHAIN)))
  const to = style.gates.map(name => rule([outInterface(name)], goto(FORWARD_TO_CHAIN)))
  const input = style.gates.map(name => rule([inInterface(name)], goto(NODE_INPUT_CHAIN)))
  return [
    bit(ALLOW_CHAIN, 'allow', style.marks.accept),
    bit(NEXT_TIER_CHAIN, 'next-tier', style.marks.pass),
    top(FORWARD_IN_CHAIN, -2, 'forward/into-workload', forwardInRules(style)),
    top(FORWARD_FROM_CHAIN, -1, 'forward/from-workload', [
      ...holding.flatMap(address => [heldSource(address), heldDestination(address)]),
      ...forwardFromRules(family, style, cutFirst),
    ]),
    top(FORWARD_TO_CHAIN, -1, 'forward/from-outside', [
      ...holding.map(heldDestination),
      ...forwardToRules(family, style, cutFirst),
    ]),
    top(NODE_INPUT_CHAIN, -1, 'input/from-workload', [
      ...holding.map(heldSource),
      ...inputRules(family, style, cutFirst),
    ]),
    top(INPUT_CHAIN, 0, 'INPUT', input),
    top(FORWARD_CHAIN, 0, 'FORWARD', [...from, ...to]),
    top(OUTPUT_CHAIN, 0, 'OUTPUT', [
      ...holding.map(heldDestination),
      ...outputRules(family, style, cutFirst),
    ]),
  ]
}

function heldSource(address: string): string {
  return rule([source(hostNet(address))], DROP)
}

function heldDestination(address: string): string {
  return rule([destination(hostNet(address))], DROP)
}

/** Established connections pass first; packets that fit no connection are never judged. */
function connectionRules(style: Style): string[] {
  return [rule([ESTABLISHED], style.allowed), rule([INVALID], DROP)]
}

/**
 * A connection that was cut: an element is client, server port, server. The second rule meets the
 * server's next packet, which would open the connection again in its own direction.
 */
function cutRules(family: Family): string[] {
  return [rule([inSet(cutSetName(family), 'src,dst,dst')], DROP), cutServerRule(family)]
}

function cutServerRule(family: Family): string {
  return rule([inSet(cutSetName(family), 'dst,src,src')], DROP)
}

function forwardFromRules(family: Family, style: Style, cutFirst: boolean): string[] {
  const { accept, forwarded, all } = style.marks
  const passing = [...connectionRules(style), ...neighbourRules(family, style)]
  return [
    ...withCut(passing, cutRules(family), cutFirst),
    rule([], setMark(forwarded, all)),
    rule([], jump(FROM_CHAIN)),
    ...dropRules(style, [marked(accept, true)], 'unknown-source'),
    ...style.gates.map(name => rule([outInterface(name)], goto(FORWARD_IN_CHAIN))),
    ...leaveRules(style),
  ]
}

/**
 * Neighbour discovery between workloads of one bridge, which connection tracking leaves untracked. A hop
 * limit of 255 in FORWARD means bridged: a router has taken one off before. Other ICMPv6 of the link never
 * needs to reach another workload, and would be a way past policy.
 */
function neighbourRules(family: Family, style: Style): string[] {
  if (family === 4 || style.bridges.length === 0) return []
  return [135, 136].map(type => rule([...icmpv6(type), fromThisLink()], style.allowed))
}

function forwardToRules(family: Family, style: Style, cutFirst: boolean): string[] {
  return [...withCut(connectionRules(style), cutRules(family), cutFirst), rule([], goto(FORWARD_IN_CHAIN))]
}

function withCut(passing: readonly string[], cut: readonly string[], cutFirst: boolean): string[] {
  return cutFirst ? [...cut, ...passing] : [...passing, ...cut]
}

function forwardInRules(style: Style): string[] {
  const { accept, forwarded, all } = style.marks
  return [
    rule([], setMark(forwarded, all)),
    rule([], jump(TO_CHAIN)),
    ...dropRules(style, [marked(accept, true)], 'unknown-destination'),
    ...leaveRules(style),
  ]
}

/** No mark of ours outlives our chains. */
function leaveRules(style: Style): string[] {
  return [rule([], setMark(0, style.marks.all)), style.allowed]
}

function inputRules(family: Family, style: Style, cutFirst: boolean): string[] {
  const { accept, all } = style.marks
  const link = family === 6 ? LINK_TYPES.map(type => rule(icmpv6(type), RETURN)) : []
  const passing = [rule([ESTABLISHED], RETURN), rule([INVALID], DROP)]
  const lines = [...withCut(passing, cutRules(family), cutFirst), ...link]
  if (style.options.workloadToNode === 'drop') return [...lines, ...dropRules(style, [], 'workload-to-node')]
  const dhcp = family === 4 ? udpPorts(68, 67) : udpPorts(546, 547)
  return [
    ...lines,
    ...[dhcp, udpPorts(null, 53), tcpTo(53)].map(matches => rule(matches, RETURN)),
    rule([], setMark(0, all)),
    rule([], jump(FROM_CHAIN)),
    ...dropRules(style, [marked(accept, true)], 'unknown-source'),
    rule([], setMark(0, all)),
    RETURN,
  ]
}

/**
 * Where the node may send what it likes to its workloads, it is still no server of a connection that was cut: its
 * next packet would open that again. Otherwise a destination that no local endpoint owns comes back accepted too,
 * and leaves as it came.
 */
function outputRules(family: Family, style: Style, cutFirst: boolean): string[] {
  const { accept, all } = style.marks
  if (style.options.nodeToWorkload === 'allow')
    return withCut([rule([ESTABLISHED], RETURN)], [cutServerRule(family)], cutFirst)
  const link = family === 6 ? LINK_TYPES.map(type => rule(icmpv6(type), RETURN)) : []
  return [
    ...withCut([rule([ESTABLISHED], RETURN), ...link], cutRules(family), cutFirst),
    rule([], setMark(0, all)),
    rule([], jump(TO_CHAIN)),
    ...dropRules(style, [marked(accept, true)], 'node-to-workload'),
    rule([], setMark(0, all)),
  ]
}
