import { IMPLIED, MATCHES, MODULE_ALIASES, PACKET_OPTIONS, TARGETS } from './vocabulary.ts'

export interface ParsedOption {
  /** The short or usual name: `-s` for `--source`. */
  readonly name: string
  readonly not: boolean
  readonly args: readonly string[]
  /** False: the vocabulary has no such option here; `args` are the words up to the next option. */
  readonly known: boolean
}

/** `-m MODULE` with its options, or the match that `-p tcp` brings along. */
export interface ParsedMatch {
  readonly module: string
  readonly options: readonly ParsedOption[]
}

export interface ParsedTarget {
  readonly verb: 'jump' | 'goto'
  readonly name: string
  readonly options: readonly ParsedOption[]
}

export interface ParsedRule {
  /** `-s -d -i -o -p -f` */
  readonly packet: readonly ParsedOption[]
  readonly matches: readonly ParsedMatch[]
  readonly target: ParsedTarget | null
}

/** A rule's words make no sense; the message has the tool's own words. */
export class RuleTextError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'RuleTextError'
  }
}

type Options = Readonly<Record<string, number | string>>

interface Extension {
  readonly vocabulary: Options | undefined
  readonly options: ParsedOption[]
}

interface Reading {
  readonly words: readonly string[]
  at: number
  readonly packet: ParsedOption[]
  readonly matches: (Extension & { readonly module: string })[]
  target: (Extension & { readonly verb: 'jump' | 'goto'; readonly name: string }) | null
  /** The extension named last: an option that nobody knows is taken for its. */
  last: Extension | null
}

/**
 * A rule's words (what follows `-A CHAIN `) as matches and target. An option goes to the extension named
 * last if that knows it, else to any other named one, else to the match that `-p` implies; what nobody
 * knows is kept as opaque. Throws RuleTextError.
 */
export function parseRule(words: readonly string[]): ParsedRule {
  const reading: Reading = { words, at: 0, packet: [], matches: [], target: null, last: null }
  while (reading.at < words.length) readOption(reading)
  const { packet, target } = reading
  return {
    packet,
    matches: reading.matches.map(({ module, options }) => ({ module, options })),
    target: target === null ? null : { verb: target.verb, name: target.name, options: target.options },
  }
}

function readOption(reading: Reading): void {
  const not = reading.words[reading.at] === '!'
  if (not) reading.at++
  const word = reading.words[reading.at++]
  if (word === undefined) throw new RuleTextError('nothing appropriate following !')
  if (word === '!') throw new RuleTextError('multiple consecutive ! not allowed')
  if (!word.startsWith('-') || word === '-') throw new RuleTextError(`Bad argument \`${word}'`)
  if (word === '-m' || word === '--match') startMatch(reading, word, not)
  else if (word === '-j' || word === '--jump') startTarget(reading, 'jump', not)
  else if (word === '-g' || word === '--goto') startTarget(reading, 'goto', not)
  else if (Object.hasOwn(PACKET_OPTIONS, word)) readPacketOption(reading, word, not)
  else readExtensionOption(reading, word, not)
}

function take(reading: Reading, option: string): string {
  const word = reading.words[reading.at++]
  if (word === undefined) throw new RuleTextError(`option "${option}" requires an argument`)
  return word
}

function startMatch(reading: Reading, word: string, not: boolean): void {
  if (not) throw new RuleTextError(`cannot have ! before ${word}`)
  const name = take(reading, word)
  addMatch(reading, MODULE_ALIASES.get(name) ?? name)
}

function addMatch(reading: Reading, module: string): Extension {
  const match = { module, vocabulary: MATCHES.get(module), options: [] }
  reading.matches.push(match)
  reading.last = match
  return match
}

function startTarget(reading: Reading, verb: 'jump' | 'goto', not: boolean): void {
  const option = verb === 'jump' ? '-j' : '-g'
  if (not) throw new RuleTextError(`cannot have ! before ${option}`)
  const name = take(reading, option)
  if (reading.target !== null) throw new RuleTextError('multiple -j flags not allowed')
  reading.target = { verb, name, vocabulary: TARGETS.get(name), options: [] }
  reading.last = reading.target
}

function readPacketOption(reading: Reading, word: string, not: boolean): void {
  const alias = PACKET_OPTIONS[word]!
  const name = typeof alias === 'string' ? alias : word
  if (reading.packet.some(option => option.name === name))
    throw new RuleTextError(`multiple ${name} flags not allowed`)
  const args = name === '-f' ? [] : [take(reading, name)]
  reading.packet.push({ name, not, args, known: true })
}

function readExtensionOption(reading: Reading, word: string, not: boolean): void {
  const owner = ownerOf(reading, word)
  if (owner === null) {
    const args: string[] = []
    while (reading.at < reading.words.length && !isOption(reading.words[reading.at]!))
      args.push(reading.words[reading.at++]!)
    const option = { name: word, not, args, known: false }
    if (reading.last === null) throw new RuleTextError(`unknown option "${word}"`)
    reading.last.options.push(option)
    return
  }
  const alias = owner.vocabulary![word]!
  const name = typeof alias === 'string' ? alias : word
  const arity = owner.vocabulary![name] as number
  const args: string[] = []
  while (args.length < arity) args.push(take(reading, name))
  owner.options.push({ name, not, args, known: true })
}

function knows(extension: Extension | null, word: string): extension is Extension {
  return extension?.vocabulary !== undefined && Object.hasOwn(extension.vocabulary, word)
}

function ownerOf(reading: Reading, word: string): Extension | null {
  if (knows(reading.last, word)) return reading.last
  if (knows(reading.target, word)) return reading.target
  const named = reading.matches.findLast(match => knows(match, word))
  if (named !== undefined) return named
  const protocol = reading.packet.find(option => option.name === '-p' && !option.not)?.args[0]
  const implied = protocol === undefined ? undefined : IMPLIED.get(protocol.toLowerCase())
  if (implied === undefined || reading.matches.some(match => match.module === implied)) return null
  return knows({ vocabulary: MATCHES.get(implied), options: [] }, word) ? addMatch(reading, implied) : null
}

function isOption(word: string): boolean {
  return word === '!' || /^-{1,2}[A-Za-z]/.test(word)
}
