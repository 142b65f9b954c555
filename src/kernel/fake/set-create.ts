import { SET_NAME_LIMIT, TIMEOUT_LIMIT } from '../ipset/commands.ts'
import { ELEMENT_TYPES } from '../ipset/element.ts'
import type { SetHeader } from './set-store.ts'

/** ipset's own words for what is wrong with a line; its name and version stand before it. */
export class SetFailure extends Error {}

/** Types that ipset knows and this kernel does not have, as if a module were missing. */
const MISSING = [
  'bitmap:ip',
  'bitmap:port',
  'hash:ip,mark',
  'hash:mac',
  'hash:net,iface',
  'hash:net,port',
  'list:set',
]

export function checkSetName(name: string): void {
  if (name.length > SET_NAME_LIMIT)
    throw new SetFailure(`Syntax error: setname '${name}' is longer than ${SET_NAME_LIMIT} characters`)
}

/** Options that take a number, with its limit; `initval` and `bucketsize` come from saved text. */
const NUMBERS: Readonly<Record<string, number>> = {
  hashsize: 0xffffffff,
  maxelem: 0xffffffff,
  timeout: TIMEOUT_LIMIT,
  bucketsize: 14,
  initval: 0xffffffff,
}
const FLAGS: readonly string[] = ['counters', 'comment', 'skbinfo', 'forceadd']

/** The words after `create NAME`. Throws SetFailure. */
export function parseHeader(type: string, words: readonly string[]): SetHeader {
  if (MISSING.includes(type)) throw new SetFailure('Kernel error received: set type not supported')
  if (!ELEMENT_TYPES.has(type)) throw new SetFailure(`Syntax error: typename '${type}' is unknown`)
  const numbers = new Map<string, number>()
  const flags = new Set<string>()
  let family: 4 | 6 = 4
  for (let at = 0; at < words.length; at++) {
    const option = words[at]!
    if (FLAGS.includes(option)) flags.add(option)
    else if (option === 'family') family = readFamily(words[++at])
    else if (Object.hasOwn(NUMBERS, option))
      numbers.set(option, readSetNumber(option, words[++at], NUMBERS[option]!))
    else throw new SetFailure(`Unknown argument: \`${option}'\nTry \`ipset help' for more information.`)
  }
  return {
    type,
    family,
    hashsize: Math.max(64, 2 ** Math.ceil(Math.log2(numbers.get('hashsize') ?? 1024))),
    maxelem: numbers.get('maxelem') ?? 65536,
    timeout: numbers.get('timeout') ?? null,
    counters: flags.has('counters'),
    comment: flags.has('comment'),
    skbinfo: flags.has('skbinfo'),
  }
}

function readFamily(word: string | undefined): 4 | 6 {
  if (word === 'inet') return 4
  if (word === 'inet6') return 6
  throw new SetFailure(word === undefined ? missing('family') : `Syntax error: unknown inet family ${word}`)
}

export function missing(option: string): string {
  return `Missing mandatory argument of option \`${option}'\nTry \`ipset help' for more information.`
}

export function readSetNumber(option: string, word: string | undefined, limit: number): number {
  if (word === undefined) throw new SetFailure(missing(option))
  if (!/^-?(?:\d+|0x[0-9a-f]+)$/i.test(word))
    throw new SetFailure(`Syntax error: '${word}' is invalid as number`)
  const value = Number(word)
  if (value < 0 || value > limit) throw new SetFailure(`Syntax error: '${word}' is out of range 0-${limit}`)
  return value
}

/** The header as `ipset save` prints it after the type. */
export function printHeader(header: SetHeader): string {
  const family = header.family === 4 ? 'inet' : 'inet6'
  const timeout = header.timeout === null ? '' : ` timeout ${header.timeout}`
  const flags = (['counters', 'comment', 'skbinfo'] as const).filter(flag => header[flag])
  const words = flags.map(flag => ` ${flag}`).join('')
  return `family ${family} hashsize ${header.hashsize} maxelem ${header.maxelem}${timeout}${words} bucketsize 12 initval 0x00000000`
}
