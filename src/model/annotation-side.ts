import { columnBehind, type Segment, type Word } from './annotation-word.ts'
import { type Cidr, formatCidr, parseCidr } from './cidr.ts'
import { parsePortText } from './port.ts'
import { show } from './refusal.ts'
import type { PortRange } from './values.ts'

/** What `from` or `to` asks for; all of it must hold, and an absent part asks nothing. */
export interface AnnotationSide {
  readonly ports?: readonly PortRange[]
  /** Pods of the annotated pod's own namespace that carry this label. */
  readonly label?: { readonly key: string; readonly value: string }
  readonly cidr?: Cidr
}

/** A place in an annotation with something to say about it. */
export interface Note {
  /** 1-based, in code points of the whole annotation. */
  readonly column: number
  readonly message: string
}

/** Why an annotation is refused. */
export class AnnotationError extends Error {
  readonly column: number

  constructor(column: number, message: string) {
    super(message)
    this.name = 'AnnotationError'
    this.column = column
  }
}

/** Walks over the words of one segment. */
export interface Reader {
  readonly words: Segment
  next: number
  readonly warnings: Note[]
}

export function peek(reader: Reader): Word | undefined {
  return reader.words[reader.next]
}

/** The word after a keyword, or an error right behind it. */
export function takeValue(reader: Reader, what: string): Word {
  const word = peek(reader)
  if (word === undefined) {
    const last = reader.words[reader.words.length - 1]!
    throw new AnnotationError(columnBehind(last), `\`${last.text}\` must be followed by ${what}.`)
  }
  reader.next++
  return word
}

/** Each keyword of a side with its place in the fixed order. */
const RANKS: ReadonlyMap<string, number> = new Map([
  ['ports', 0],
  ['port', 0],
  ['label', 1],
  ['cidr', 2],
])

function readPorts(word: Word): PortRange[] {
  let column = word.column
  return word.text.split(',').map(text => {
    const range = parsePortText(text)
    if (range === null) {
      const wanted =
        'a port is 0 to 65535 without leading zeros, a range is LOWER:HIGHER, and a list has commas and no blanks.'
      throw new AnnotationError(column, `${show(text)} is not a port: ${wanted}`)
    }
    column += text.length + 1
    return range
  })
}

function readLabel(word: Word): { key: string; value: string } {
  const parts = /^([A-Za-z0-9/._-]+)=([A-Za-z0-9/._-]+)$/.exec(word.text)
  if (parts !== null) return { key: parts[1]!, value: parts[2]! }
  const wanted = 'write KEY=VALUE with letters, digits, `/`, `.`, `_` and `-` only.'
  throw new AnnotationError(word.column, `${show(word.text)} is not a label: ${wanted}`)
}

function readCidr(word: Word, warnings: Note[]): Cidr {
  const cidr = parseCidr(word.text)
  if (cidr === null) {
    const wanted = 'write a full IPv4 or IPv6 address, with /LENGTH or without.'
    throw new AnnotationError(word.column, `${show(word.text)} is not a CIDR: ${wanted}`)
  }
  const exact = parseCidr(word.text.split('/')[0]!)!
  if (exact.base !== cidr.base) {
    const message = `${show(word.text)} has bits set behind its prefix length and means ${formatCidr(cidr)}.`
    warnings.push({ column: word.column, message })
  }
  return cidr
}

/**
 * What follows `from` or `to`: `[ports LIST] [label KEY=VALUE] [cidr CIDR]` in this order. Ends before the
 * first word that is none of these. Throws AnnotationError.
 */
export function readSide(reader: Reader, side: Word, protocol: string | undefined): AnnotationSide {
  const parts: { -readonly [Part in keyof AnnotationSide]: AnnotationSide[Part] } = {}
  let rank = -1
  for (let word = peek(reader); word !== undefined; word = peek(reader)) {
    const own = RANKS.get(word.text)
    if (own === undefined) break
    if (own === rank)
      throw new AnnotationError(word.column, `\`${side.text}\` takes \`${word.text}\` only once.`)
    if (own < rank)
      throw new AnnotationError(word.column, 'The order inside a side is ports, then label, then cidr.')
    rank = own
    reader.next++
    if (own === 0) {
      if (protocol !== 'tcp' && protocol !== 'udp')
        throw new AnnotationError(
          word.column,
          'Ports need tcp or udp: write `allow tcp ...` or `allow udp ...`.',
        )
      parts.ports = readPorts(takeValue(reader, 'a list of ports such as 80,443'))
    } else if (own === 1) parts.label = readLabel(takeValue(reader, 'KEY=VALUE'))
    else parts.cidr = readCidr(takeValue(reader, 'a CIDR such as 10.0.0.0/8'), reader.warnings)
  }
  if (rank < 0)
    reader.warnings.push({ column: side.column, message: `A bare \`${side.text}\` restricts nothing.` })
  return parts
}
