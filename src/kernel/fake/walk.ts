import type { KernelRule } from './kernel-rule.ts'
import { type Hook, type Packet, type Path, packetAddresses, type Seen } from './packet.ts'
import type { Policy, Table } from './table.ts'
import type { World } from './world.ts'

export interface TrailStep {
  readonly table: string
  readonly chain: string
  /** As iptables-save prints it; empty for a policy. */
  readonly rule: string
  /** `ACCEPT`, `jump podf-from`, `mark 0x1000000`, `policy DROP`, `end of podf-a`... */
  readonly effect: string
}

export interface Walk {
  readonly verdict: 'ACCEPT' | 'DROP'
  readonly trail: readonly TrailStep[]
  /** Afterwards; unsigned. */
  readonly mark: number
}

type Station = readonly [table: string, hook: Hook]

/** The tables on the way, in order. nat is not walked: a packet's addresses are those that filter sees. */
const STATIONS: Readonly<Record<Path, readonly Station[]>> = {
  forward: [
    ['raw', 'PREROUTING'],
    ['mangle', 'PREROUTING'],
    ['mangle', 'FORWARD'],
    ['filter', 'FORWARD'],
    ['mangle', 'POSTROUTING'],
  ],
  input: [
    ['raw', 'PREROUTING'],
    ['mangle', 'PREROUTING'],
    ['mangle', 'INPUT'],
    ['filter', 'INPUT'],
  ],
  output: [
    ['raw', 'OUTPUT'],
    ['mangle', 'OUTPUT'],
    ['filter', 'OUTPUT'],
    ['mangle', 'POSTROUTING'],
  ],
}

/**
 * A packet's way through the tables of its family; without `telling` the trail stays empty, and many packets
 * take less time. Throws TypeError for what the fake cannot decide.
 */
export function walkPacket(
  packet: Packet,
  tables: ReadonlyMap<string, Table>,
  world: World,
  telling = true,
): Walk {
  const addresses = packetAddresses(packet)
  const trail: TrailStep[] = []
  let mark = (packet.mark ?? 0) >>> 0
  for (const [name, hook] of STATIONS[packet.path]) {
    const table = tables.get(name)
    if (table === undefined) continue
    const seen = seenAt(packet, addresses, name, hook, mark)
    const verdict = walkTable(table, hook, seen, world, telling ? trail : null)
    mark = seen.mark
    if (verdict === 'DROP') return { verdict, trail, mark }
  }
  return { verdict: 'ACCEPT', trail, mark }
}

/**
 * A hook knows the interface by which a packet leaves only after routing, and its state only after raw. Every field by its
 * name: a property walks millions of packets, and a copy of an object takes longer than the rules.
 */
function seenAt(
  packet: Packet,
  { src, dst, protocol }: ReturnType<typeof packetAddresses>,
  table: string,
  hook: Hook,
  mark: number,
): Seen {
  const routed = hook === 'FORWARD' || hook === 'POSTROUTING' || hook === 'OUTPUT'
  const tracked = table !== 'raw' || packet.ctstate === 'UNTRACKED'
  // Routing takes one hop off before the forward hook; a bridge takes none.
  const before = packet.path === 'forward' && hook === 'PREROUTING' && packet.physdevOut === undefined
  return {
    packet: before && packet.hopLimit !== undefined ? { ...packet, hopLimit: packet.hopLimit + 1 } : packet,
    family: packet.family,
    hook,
    in: hook === 'POSTROUTING' ? '' : (packet.in ?? ''),
    out: routed ? (packet.out ?? '') : '',
    physdevIn: packet.physdevIn ?? null,
    physdevOut: routed ? (packet.physdevOut ?? null) : null,
    src,
    dst,
    protocol,
    ctstate: tracked ? packet.ctstate : 'INVALID',
    mark,
  }
}

interface Frame {
  readonly chain: string
  readonly rules: readonly KernelRule[]
  at: number
}

function walkTable(table: Table, hook: Hook, seen: Seen, world: World, trail: TrailStep[] | null): Policy {
  const frame = (chain: string): Frame => ({ chain, rules: table.rules(chain)!, at: 0 })
  const callers: Frame[] = []
  let now: Frame | undefined = frame(hook)
  const tell = (chain: string, rule: string, effect: string): void => {
    trail?.push({ table: table.name, chain, rule, effect })
  }
  // It ends: no transaction with a circle that a packet could reach is ever committed.
  while (now !== undefined) {
    const rule: KernelRule | undefined = now.rules[now.at++]
    if (rule === undefined) {
      now = callers.pop()
      continue
    }
    if (!rule.tests.every(test => test(seen, world))) continue
    const { target } = rule
    if (target === null) continue
    if (target.kind === 'act') {
      const effect = target.act(seen)
      tell(now.chain, rule.text, effect.told)
      if (effect.kind === 'accept') return 'ACCEPT'
      if (effect.kind === 'drop') return 'DROP'
      if (effect.kind === 'return') now = callers.pop()
      continue
    }
    if (trail !== null) tell(now.chain, rule.text, `${target.kind} ${target.chain}`)
    // goto leaves no way back here: what is called returns to our own caller.
    if (target.kind === 'jump') callers.push(now)
    now = frame(target.chain)
  }
  const policy = table.policies.get(hook)!
  if (trail !== null) tell(hook, '', `policy ${policy}`)
  return policy
}
