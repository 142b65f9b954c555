import { formatAddress } from '../../model/cidr.ts'
import type { ParsedOption } from '../iptables-parser/rule.ts'
import { type MatchExtension, type Options, show } from './extension.ts'
import { checkInterface, interfaceMatches } from './header.ts'
import { need, type Seen } from './packet.ts'
import { passesReversePath } from './reverse-path.ts'
import { usage } from './tool.ts'
import type { World } from './world.ts'

/** Matches on where a packet came from or belongs to: mac, physdev, rpfilter, addrtype. */

const mac: MatchExtension = {
  options: { '--mac-source': true },
  load: options => {
    const option = options.must('--mac-source')
    const parts = option.args[0]!.toLowerCase().split(':')
    if (parts.length !== 6 || parts.some(part => !/^[0-9a-f]{1,2}$/.test(part)))
      throw usage('Invalid MAC address specified.')
    const wanted = parts.map(part => part.padStart(2, '0')).join(':')
    return {
      text: show(option, wanted),
      placement: { hooks: ['PREROUTING', 'INPUT', 'FORWARD'] },
      // A packet without an Ethernet header matches neither way.
      test: seen => {
        const source = need(seen, 'mac')
        return source !== null && (source.toLowerCase() === wanted) !== option.not
      },
    }
  },
}

const PHYSDEV = [
  '--physdev-in',
  '--physdev-is-in',
  '--physdev-out',
  '--physdev-is-out',
  '--physdev-is-bridged',
]

const physdev: MatchExtension = {
  options: Object.fromEntries(PHYSDEV.map(name => [name, true])),
  load: options => {
    if (options.names.length === 0) throw usage('PHYSDEV: no physdev option specified')
    const given = PHYSDEV.map(name => options.get(name)).filter(option => option !== undefined)
    for (const option of given) if (option.args.length > 0) checkInterface(option.args[0]!)
    const bridged = options.get('--physdev-is-bridged')
    const leaving = options.has('--physdev-out') || options.has('--physdev-is-out')
    return {
      text: given
        .map(option => (option.args.length > 0 ? show(option, option.args[0]!) : flag(option)))
        .join(' '),
      test: seen => given.every(option => physdevMatches(option, seen)),
      // The kernel knows the port that a packet of its own leaves by only too late.
      ...(leaving && (bridged === undefined || bridged.not)
        ? { placement: { hooks: ['PREROUTING', 'INPUT', 'FORWARD', 'POSTROUTING'], nftBaseOnly: true } }
        : {}),
    }
  },
}

function flag(option: ParsedOption): string {
  return `${option.not ? '! ' : ''}${option.name}`
}

function physdevMatches(option: ParsedOption, seen: Seen): boolean {
  const pattern = option.args[0] ?? ''
  switch (option.name) {
    case '--physdev-in':
      return interfaceMatches(pattern, seen.physdevIn ?? '') !== option.not
    case '--physdev-out':
      return interfaceMatches(pattern, seen.physdevOut ?? '') !== option.not
    case '--physdev-is-in':
      return (seen.physdevIn !== null) !== option.not
    case '--physdev-is-out':
      return (seen.physdevOut !== null) !== option.not
    default:
      return (seen.physdevIn !== null && seen.physdevOut !== null) !== option.not
  }
}

const RPFILTER = ['--loose', '--validmark', '--accept-local', '--invert']

const rpfilter: MatchExtension = {
  options: Object.fromEntries(RPFILTER.map(name => [name, false])),
  load: options => ({
    text: RPFILTER.filter(name => options.has(name)).join(' '),
    placement: { tables: ['raw', 'mangle'], hooks: ['PREROUTING'] },
    test: (seen, world) => {
      if (options.has('--validmark')) throw new TypeError('the fake knows no routing by mark')
      const manner = { loose: options.has('--loose'), acceptLocal: options.has('--accept-local') }
      return passesReversePath(seen, world, manner) !== options.has('--invert')
    },
  }),
}

/** In the order in which iptables-save prints them. */
const KINDS = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
]
/** Those that the fake's world can tell apart. */
const WALKABLE = ['UNICAST', 'LOCAL', 'BROADCAST', 'MULTICAST']

const addrtype: MatchExtension = {
  options: { '--src-type': true, '--dst-type': true, '--limit-iface-in': false, '--limit-iface-out': false },
  load: options => {
    const sides = ['--src-type', '--dst-type'].flatMap(name => options.get(name) ?? [])
    if (sides.length === 0) throw usage('addrtype: you must specify --src-type or --dst-type')
    const limits = ['--limit-iface-in', '--limit-iface-out'].filter(name => options.has(name))
    const texts = sides.map(option => show(option, kinds(option).join(',')))
    return {
      text: [...texts, ...limits].join(' '),
      test: (seen, world) => sides.every(option => addressTypeMatches(option, options, seen, world)),
    }
  },
}

function kinds(option: ParsedOption): readonly string[] {
  const given = option.args[0]!.toUpperCase().split(',')
  const wrong = given.find(kind => !KINDS.includes(kind))
  if (wrong !== undefined) throw usage(`addrtype: bad type "${wrong}"`)
  return KINDS.filter(kind => given.includes(kind))
}

function addressTypeMatches(option: ParsedOption, options: Options, seen: Seen, world: World): boolean {
  const wanted = kinds(option)
  if (options.names.some(name => name.startsWith('--limit')) || wanted.some(kind => !WALKABLE.includes(kind)))
    throw new TypeError(`the fake cannot walk addrtype ${wanted.join(',')}`)
  const address = option.name === '--src-type' ? seen.src : seen.dst
  const text = formatAddress(address.value, address.family)
  return wanted.includes(addressKind(text, world)) !== option.not
}

function addressKind(text: string, world: World): string {
  if (world.local.has(text) || text.startsWith('127.') || text === '::1') return 'LOCAL'
  if (text === '255.255.255.255') return 'BROADCAST'
  return /^(?:22[4-9]|23\d)\.|^ff[0-9a-f]{2}:/.test(text) ? 'MULTICAST' : 'UNICAST'
}

export const INTERFACE_MATCHES: Readonly<Record<string, MatchExtension>> = {
  addrtype,
  mac,
  physdev,
  rpfilter,
}
