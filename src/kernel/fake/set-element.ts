import { addressBits, formatAddress, parseAddress, parseCidr } from '../../model/cidr.ts'
import { TIMEOUT_LIMIT } from '../ipset/commands.ts'
import { canonicalElement } from '../ipset/element.ts'
import { missing, readSetNumber, SetFailure } from './set-create.ts'
import type { FakeElement, FakeSet } from './set-store.ts'

/** Above this a network given to hash:ip is a mistake of the test rather than a wish. */
const EXPANSION_LIMIT = 65536

/** hash:ip has no room for the address of all zeros. */
const NO_ADDRESS = { 4: /^0\.0\.0\.0(?:\/\d+)?$/, 6: /^::$/ }

/** The elements that a word stands for; hash:ip of IPv4 takes networks too and holds each address. Throws SetFailure. */
export function readElements(set: FakeSet, word: string): string[] {
  if (set.type === 'hash:ip' && NO_ADDRESS[set.family].test(word))
    throw new SetFailure('Null-valued element, cannot be stored in a hash type of set')
  const one = canonicalElement(set.type, set.family, word)
  if (one !== null) return [one]
  if (set.type === 'hash:ip' && set.family === 6 && word.includes('/') && !word.includes(','))
    throw new SetFailure(`Syntax error: plain IP address must be supplied: ${word}`)
  const single = set.type === 'hash:ip' || set.type === 'hash:net'
  const cidr = single ? parseCidr(word) : null
  if (cidr === null || cidr.family !== set.family) throw new SetFailure(elementComplaint(set, word))
  if (cidr.length === 0) throw new SetFailure('The value of the CIDR parameter of the IP address is invalid')
  const count = 2 ** (addressBits(4) - cidr.length)
  if (count > EXPANSION_LIMIT) throw new TypeError(`the fake does not take networks that large: ${word}`)
  return Array.from({ length: count }, (_, at) => formatAddress(cidr.base + BigInt(at), 4))
}

function elementComplaint(set: FakeSet, word: string): string {
  const parts = word.split(',')
  const kinds = set.type.slice('hash:'.length).split(',')
  if (kinds.length === 1 && parts.length > 1)
    return `Syntax error: Elem separator in ${word}, but settype ${set.type} supports none.`
  if (parts.length < kinds.length)
    return `Syntax error: ${parts.length === 1 ? 'Second' : 'Third'} element is missing from ${word}.`
  const family = `resolving to IPv${set.family} address failed`
  const at = kinds.findIndex(
    (kind, index) => kind !== 'port' && parseAddress(parts[index]!.split('/')[0]!)?.family !== set.family,
  )
  if (at >= 0) return `Syntax error: cannot parse ${parts[at]}: ${family}`
  return `Syntax error: cannot parse ${word}`
}

export interface ElementOptions {
  readonly timeout: number | null
  readonly comment: string | null
  readonly counters: FakeElement['counters']
  readonly nomatch: boolean
}

/** The words after the element of an add line. Throws SetFailure. */
export function readElementOptions(set: FakeSet, words: readonly string[]): ElementOptions {
  let timeout = set.timeout
  let comment: string | null = null
  let nomatch = false
  let packets = '0'
  let bytes = '0'
  for (let at = 0; at < words.length; at++) {
    const option = words[at]!
    if (option === 'timeout') {
      if (set.timeout === null) throw unsupported('Timeout', 'timeout')
      timeout = readSetNumber(option, words[++at], TIMEOUT_LIMIT)
    } else if (option === 'comment') {
      if (!set.comment) throw unsupported('Comment', 'comment')
      comment = words[++at] ?? null
      if (comment === null || comment === '') throw new SetFailure(missing('comment'))
    } else if (option === 'packets' || option === 'bytes') {
      if (!set.counters) throw unsupported('Packet/byte counters', 'counter')
      const value = String(readSetNumber(option, words[++at], Number.MAX_SAFE_INTEGER))
      if (option === 'packets') packets = value
      else bytes = value
    } else if (option === 'nomatch' && set.type === 'hash:net') nomatch = true
    else throw new SetFailure(`Unknown argument: \`${option}'\nTry \`ipset help' for more information.`)
  }
  return { timeout, comment, counters: set.counters ? { packets, bytes } : null, nomatch }
}

function unsupported(what: string, support: string): SetFailure {
  return new SetFailure(`${what} cannot be used: set was created without ${support} support`)
}
