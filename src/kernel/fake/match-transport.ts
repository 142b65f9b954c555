import { PORTED, protocolNumber } from '../ipset/protocol.ts'
import type { ParsedOption } from '../iptables-parser/rule.ts'
import { type LoadedMatch, type MatchExtension, type Options, show, type Test } from './extension.ts'
import { readNumber } from './number.ts'
import { need, type Seen, type TcpFlag } from './packet.ts'
import { usage } from './tool.ts'

/** Matches on ports and TCP flags: tcp, udp, sctp, multiport. */

interface Range {
  readonly first: number
  readonly last: number
}

function port(text: string): number {
  const value = readNumber(text, 65535)
  if (value === null) throw usage(`invalid port/service \`${text}' specified`)
  return value
}

/** `80`, `80:90`, `80:`, `:90` */
function range(text: string): Range {
  const colon = text.indexOf(':')
  if (colon < 0) return { first: port(text), last: port(text) }
  const first = colon === 0 ? 0 : port(text.slice(0, colon))
  const last = colon === text.length - 1 ? 65535 : port(text.slice(colon + 1))
  if (first > last) throw usage('invalid portrange (min > max)')
  return { first, last }
}

function showRange({ first, last }: Range): string {
  return first === last ? String(first) : `${first}:${last}`
}

function within(ranges: readonly Range[], value: number): boolean {
  return ranges.some(({ first, last }) => value >= first && value <= last)
}

/** A later fragment has no transport header, so nothing in it can be looked at. */
function withHeader(test: Test): Test {
  return (seen, world) => seen.packet.laterFragment !== true && test(seen, world)
}

function loadPort(option: ParsedOption | undefined, field: 'sport' | 'dport'): LoadedMatch | null {
  if (option === undefined) return null
  const only = range(option.args[0]!)
  if (only.first === 0 && only.last === 65535) {
    if (option.not) throw new TypeError('a rule that excludes every port is not part of the fake')
    return null
  }
  return {
    text: show(option, showRange(only)),
    test: withHeader(seen => within([only], need(seen, field)) !== option.not),
  }
}

function joined(parts: readonly (LoadedMatch | null)[]): LoadedMatch {
  const given = parts.filter(part => part !== null)
  return {
    text: given.map(part => part.text).join(' '),
    test: (seen, world) => given.every(part => part.test(seen, world)),
  }
}

function ports(options: Options): readonly (LoadedMatch | null)[] {
  return [loadPort(options.get('--sport'), 'sport'), loadPort(options.get('--dport'), 'dport')]
}

function portMatch(protocol: number): MatchExtension {
  return {
    protocols: [protocol],
    options: { '--sport': true, '--dport': true },
    load: options => joined(ports(options)),
  }
}

/** In the order in which iptables-save prints them. */
const FLAGS: readonly TcpFlag[] = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']

function flags(text: string): readonly TcpFlag[] {
  if (text === 'ALL') return FLAGS
  if (text === 'NONE') return []
  const names = text.split(',')
  for (const name of names) if (!FLAGS.includes(name as TcpFlag)) throw usage(`Unknown TCP flag \`${name}'`)
  return FLAGS.filter(flag => names.includes(flag))
}

function loadFlags(option: ParsedOption | undefined, mask: string, set: string): LoadedMatch | null {
  if (option === undefined) return null
  const looked = flags(mask)
  const wanted = flags(set)
  const text = (list: readonly TcpFlag[]): string => (list.length === 0 ? 'NONE' : list.join(','))
  return {
    text: `${option.not ? '! ' : ''}--tcp-flags ${text(looked)} ${text(wanted)}`,
    test: withHeader(seen => {
      const present = need(seen, 'tcpFlags')
      const same = FLAGS.every(
        flag => (looked.includes(flag) && present.includes(flag)) === wanted.includes(flag),
      )
      return same !== option.not
    }),
  }
}

const tcp: MatchExtension = {
  protocols: [6],
  options: { '--sport': true, '--dport': true, '--tcp-flags': true, '--syn': true },
  load: options => {
    const given = options.get('--tcp-flags')
    return joined([
      ...ports(options),
      loadFlags(given, given?.args[0] ?? '', given?.args[1] ?? ''),
      loadFlags(options.get('--syn'), 'FIN,SYN,RST,ACK', 'SYN'),
    ])
  },
}

/** The kernel has room for 15 numbers; a range takes two. */
const MULTIPORT_SLOTS = 15

function multiportRanges(text: string): readonly Range[] {
  const ranges = text.split(',').map(part => {
    const colon = part.indexOf(':')
    if (colon < 0) return range(part)
    const pair = range(part)
    if (pair.first >= pair.last) throw usage('invalid portrange specified')
    return pair
  })
  const slots = ranges.reduce((sum, { first, last }) => sum + (first === last ? 1 : 2), 0)
  if (slots > MULTIPORT_SLOTS) throw usage('too many ports specified')
  return ranges
}

const multiport: MatchExtension = {
  options: { '--sports': true, '--dports': true, '--ports': true },
  load: (options, context) => {
    const [name, second] = options.names
    if (name === undefined) throw usage('multiport expection an option')
    if (second !== undefined)
      throw usage(`multiport: option "${second}" cannot be used together with "${name}".\n`)
    if (context.protocol === null)
      throw usage("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'")
    if (context.protocol.not || !PORTED.has(context.protocol.number))
      throw usage('multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP')
    const option = options.must(name)
    const ranges = multiportRanges(option.args[0]!)
    const fields = { '--sports': ['sport'], '--dports': ['dport'], '--ports': ['sport', 'dport'] } as const
    const looked: readonly ('sport' | 'dport')[] = fields[name as keyof typeof fields]
    return {
      text: show(option, ranges.map(showRange).join(',')),
      test: withHeader(
        (seen: Seen) => looked.some(field => within(ranges, need(seen, field))) !== option.not,
      ),
    }
  },
}

export const TRANSPORT_MATCHES: Readonly<Record<string, MatchExtension>> = {
  multiport,
  sctp: portMatch(protocolNumber('sctp')!),
  tcp,
  udp: portMatch(protocolNumber('udp')!),
}
