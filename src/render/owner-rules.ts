import { DROP, goto, jump, rule, setMark } from './action.ts'
import {
  destination,
  hostNet,
  inInterface,
  inPort,
  type Match,
  marked,
  outInterface,
  source,
  unmarked,
} from './match.ts'
import type { PlacedEndpoint } from './placed-endpoint.ts'
import type { Style } from './style.ts'

/** Marks what passes the source check of a bridge. */
export const KNOWN_CHAIN = 'podf-source-known'

/** An endpoint that owns an address, and its two chains; null where a name was refused: then nothing passes. */
export interface Owner {
  readonly endpoint: PlacedEndpoint
  readonly from: string | null
  readonly to: string | null
}

/** Owners that one match tells from the others; no match: all the rest. */
interface Group {
  readonly match: Match | null
  readonly chains: (string | null)[]
}

/**
 * A leaf's rules for one source address. Where several endpoints claim it, the interface or the bridge port
 * tells them apart; those it cannot tell apart must all allow the packet, so no claim opens what another closes.
 */
export function fromRules(address: string, owners: readonly Owner[], style: Style): string[] {
  const groups = groupsOf(owners, 'from', ({ attachment }) => {
    if (attachment === null || attachment.kind === 'unknown') return null
    if (attachment.kind === 'routed') return inInterface(attachment.interface)
    return attachment.port === null ? null : inPort(attachment.port)
  })
  return groups.flatMap(group => groupRules(source(hostNet(address)), group, style))
}

/**
 * A leaf's rules for one destination address. Bridge ports cannot be told apart here: a match on the
 * outgoing port is refused in chains that OUTPUT reaches. An address with owners never reaches the end of
 * its chain, since in OUTPUT that would mean that it is nobody's; where only the interface could tell and the
 * packet is the node's own, it is dropped.
 */
export function toRules(address: string, owners: readonly Owner[], style: Style): string[] {
  const to = destination(hostNet(address))
  const groups = groupsOf(owners, 'to', ({ attachment }) =>
    attachment?.kind === 'routed' ? outInterface(attachment.interface) : null,
  )
  const told = groups.filter(group => group.match !== null)
  const rest = groups.filter(group => group.match === null)
  const lines = told.flatMap(group => groupRules(to, group, style))
  if (told.length > 0)
    lines.push(rule(rest.length === 0 ? [to] : [to, unmarked(style.marks.forwarded)], DROP))
  return [...lines, ...rest.flatMap(group => groupRules(to, group, style))]
}

/** The source check of the bridges for one address: by port where an owner's is known, else by bridge, else by any bridge. */
export function sourceRules(address: string, owners: readonly Owner[], style: Style): string[] {
  const ports = new Set<string>()
  const bridges = new Set<string>()
  for (const { endpoint } of owners) {
    if (endpoint.attachment?.kind === 'unknown') for (const bridge of style.bridges) bridges.add(bridge)
    if (endpoint.attachment?.kind !== 'bridge') continue
    const { port, bridge } = endpoint.attachment
    if (port !== null) ports.add(port)
    else if (bridge !== null) bridges.add(bridge)
  }
  const own = source(hostNet(address))
  if (bridges.size === style.bridges.length) return [rule([own], goto(KNOWN_CHAIN))]
  return [
    ...[...ports].sort().map(port => rule([own, inPort(port)], goto(KNOWN_CHAIN))),
    ...[...bridges].sort().map(bridge => rule([own, inInterface(bridge)], goto(KNOWN_CHAIN))),
  ]
}

function groupsOf(
  owners: readonly Owner[],
  direction: 'from' | 'to',
  matchOf: (endpoint: PlacedEndpoint) => Match | null,
): Group[] {
  const groups = new Map<string, Group>()
  for (const owner of [...owners].sort((a, b) => (a.endpoint.id < b.endpoint.id ? -1 : 1))) {
    const match = matchOf(owner.endpoint)
    const key = match?.text ?? ''
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { match, chains: [owner[direction]] })
    else group.chains.push(owner[direction])
  }
  // Alone, a group needs no match: the endpoint's own chain verifies the interface.
  if (groups.size === 1) return [...groups.values()].map(({ chains }) => ({ match: null, chains }))
  return [...groups].sort(([a], [b]) => (b === '' || (a !== '' && a < b) ? -1 : 1)).map(([, group]) => group)
}

function groupRules(address: Match, { match, chains }: Group, style: Style): string[] {
  const matches = match === null ? [address] : [address, match]
  if (chains.includes(null)) return [rule(matches, DROP)]
  const { accept } = style.marks
  const lines: string[] = []
  for (const [index, chain] of chains.entries()) {
    if (index === chains.length - 1) lines.push(rule(matches, goto(chain!)))
    else
      lines.push(
        rule(matches, jump(chain!)),
        rule([...matches, marked(accept, true)], DROP),
        // What one owner allows must not stand for the next, should that one's chain be emptied.
        rule(matches, setMark(0, accept)),
      )
  }
  return lines
}
