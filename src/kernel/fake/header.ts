import { addressBits, cidrContains, formatCidr, parseCidr } from '../../model/cidr.ts'
import type { Family } from '../../model/values.ts'
import { protocolName, protocolNumber } from '../ipset/protocol.ts'
import type { ParsedOption } from '../iptables-parser/rule.ts'
import type { LoadContext, Test } from './extension.ts'
import type { Seen } from './packet.ts'
import { usage } from './tool.ts'

/** A rule's own options: addresses, interfaces, protocol. */
export interface LoadedHeader {
  readonly text: readonly string[]
  readonly tests: readonly Test[]
  readonly protocol: LoadContext['protocol']
  /** nft has no words for "no address at all" and refuses the rule. */
  readonly matchesNothing: boolean
}

const ORDER = ['-s', '-d', '-i', '-o', '-p', '-f']

type LoadedOption = { readonly text: string; readonly test: Test } | null

/** In the order in which iptables-save prints them; what asks nothing is left out. */
export function loadHeader(options: readonly ParsedOption[], family: Family): LoadedHeader {
  const text: string[] = []
  const tests: Test[] = []
  let matchesNothing = false
  for (const name of ORDER) {
    const option = options.find(each => each.name === name)
    if (option === undefined) continue
    const loaded = LOADERS[name]!(option, family)
    if (loaded === null) continue
    text.push(loaded.text)
    tests.push(loaded.test)
    matchesNothing ||= (name === '-s' || name === '-d') && option.not && loaded.text.endsWith('/0')
  }
  const given = options.find(each => each.name === '-p')
  const number = given === undefined ? 0 : protocolOf(given)
  const protocol = given === undefined || number === 0 ? null : { number, not: given.not }
  return { text, tests, protocol, matchesNothing }
}

const LOADERS: Readonly<Record<string, (option: ParsedOption, family: Family) => LoadedOption>> = {
  '-s': (option, family) => loadAddress(option, family, seen => seen.src),
  '-d': (option, family) => loadAddress(option, family, seen => seen.dst),
  '-i': option => loadInterface(option, seen => seen.in),
  '-o': option => loadInterface(option, seen => seen.out),
  '-p': loadProtocol,
  '-f': loadFragment,
}

function loadAddress(option: ParsedOption, family: Family, of: (seen: Seen) => Seen['src']): LoadedOption {
  const given = option.args[0]!
  const cidr = parseCidr(given)
  if (cidr === null || cidr.family !== family) {
    const slash = given.indexOf('/')
    const alone = slash < 0 ? null : parseCidr(given.slice(0, slash))
    throw alone?.family === family
      ? usage(`invalid mask \`${given.slice(slash + 1)}' specified`)
      : usage(`host/network \`${given}' not found`)
  }
  if (cidr.length === 0 && !option.not) return null
  if (cidr.length > addressBits(family)) throw usage(`invalid mask \`${cidr.length}' specified`)
  return {
    text: `${option.not ? '! ' : ''}${option.name} ${formatCidr(cidr)}`,
    test: seen => cidrContains(cidr, of(seen)) !== option.not,
  }
}

/** Throws as the tools do for a name that no interface can have. */
export function checkInterface(name: string): void {
  if (name === '') throw usage('Empty interface is likely to be undesired')
  if (name.length > 15) throw usage(`interface name \`${name}' must be shorter than IFNAMSIZ (15)`)
}

/** `cali+` is every name that starts with `cali`. */
export function interfaceMatches(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function loadInterface(option: ParsedOption, of: (seen: Seen) => string): LoadedOption {
  const pattern = option.args[0]!
  checkInterface(pattern)
  if (pattern === '+' && !option.not) return null
  return {
    text: `${option.not ? '! ' : ''}${option.name} ${pattern}`,
    test: seen => interfaceMatches(pattern, of(seen)) !== option.not,
  }
}

function protocolOf(option: ParsedOption): number {
  const given = option.args[0]!
  const number = given.toLowerCase() === 'all' ? 0 : protocolNumber(given)
  if (number === null) throw usage(`unknown protocol "${given}" specified`)
  if (number === 0 && option.not) throw usage('rule would never match protocol')
  return number
}

function loadProtocol(option: ParsedOption): LoadedOption {
  const number = protocolOf(option)
  if (number === 0) return null
  return {
    text: `${option.not ? '! ' : ''}-p ${protocolName(number)}`,
    test: seen => (seen.protocol === number) !== option.not,
  }
}

function loadFragment(option: ParsedOption, family: Family): LoadedOption {
  if (family === 6) throw usage("`-f' is not supported in IPv6, use -m frag instead")
  return {
    text: `${option.not ? '! ' : ''}-f`,
    test: seen => (seen.packet.laterFragment ?? false) !== option.not,
  }
}
