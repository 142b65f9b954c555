import type { Family } from '../../model/values.ts'
import { IpsetTextError } from './failure.ts'
import { splitSetLine } from './words.ts'

export interface SavedElement {
  /** As it stands: `10.0.0.1`, `10.0.0.1,tcp:80,10.0.0.2`, the name of a set. */
  readonly element: string
  /** Seconds left; null without a timeout. */
  readonly timeout: number | null
  readonly comment: string | null
  readonly nomatch: boolean
  /** Every other word pair (`packets`, `bytes`, `skbmark`, `before`), as text. */
  readonly extra: ReadonlyMap<string, string>
}

export interface SavedSet {
  readonly name: string
  readonly type: string
  /** Null where the type has none (bitmap, list) or names none that we know. */
  readonly family: Family | null
  /** Seconds; null without timeout support. */
  readonly timeout: number | null
  readonly maxelem: number | null
  /** The words after the type as they stand, unknown ones too. */
  readonly options: readonly string[]
  readonly elements: readonly SavedElement[]
}

interface OpenSet extends SavedSet {
  readonly elements: SavedElement[]
}

const NOTHING: ReadonlyMap<string, string> = new Map()
/** Words of an element that stand alone. */
const FLAGS: ReadonlySet<string> = new Set(['nomatch'])

/**
 * The text of `ipset save` as values, whatever the types and revisions in it. Throws IpsetTextError with
 * the line for anything else than create and add lines, or an add to a set that no line created.
 */
export function parseIpsetSave(text: string): SavedSet[] {
  const sets = new Map<string, OpenSet>()
  let line = 0
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline
    const content = text.slice(at, end)
    at = end + 1
    line++
    if (content.startsWith('add ')) parseAdd(content, line, sets)
    else if (content.startsWith('create ')) parseCreate(content, line, sets)
    else if (content.trim() !== '' && content[0] !== '#')
      throw new IpsetTextError(line, `not a line of ipset save: ${JSON.stringify(content)}`)
  }
  return [...sets.values()]
}

function words(content: string, line: number): string[] {
  const split = splitSetLine(content)
  if (split === null) throw new IpsetTextError(line, `a quote never closes: ${JSON.stringify(content)}`)
  return split
}

function parseCreate(content: string, line: number, sets: Map<string, OpenSet>): void {
  const [, name, type, ...options] = words(content, line)
  if (name === undefined || type === undefined) throw new IpsetTextError(line, 'create without name or type')
  if (sets.has(name)) throw new IpsetTextError(line, `the set '${name}' is created twice`)
  const after = (option: string): string | undefined => {
    const at = options.indexOf(option)
    return at < 0 ? undefined : options[at + 1]
  }
  const family = after('family')
  sets.set(name, {
    name,
    type,
    family: family === 'inet' ? 4 : family === 'inet6' ? 6 : null,
    timeout: number(after('timeout')),
    maxelem: number(after('maxelem')),
    options,
    elements: [],
  })
}

function number(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null
}

function parseAdd(content: string, line: number, sets: Map<string, OpenSet>): void {
  // A big set is almost all lines of three words; those take no list of words.
  const nameEnd = content.indexOf(' ', 4)
  const elementEnd = nameEnd < 0 ? -1 : content.indexOf(' ', nameEnd + 1)
  const bare = nameEnd > 0 && elementEnd < 0 && !content.includes('"')
  const [name, element, ...rest] = bare
    ? [content.slice(4, nameEnd), content.slice(nameEnd + 1)]
    : words(content, line).slice(1)
  const set = name === undefined ? undefined : sets.get(name)
  if (set === undefined) throw new IpsetTextError(line, `an add to a set that no line created: ${name}`)
  if (element === undefined || element === '') throw new IpsetTextError(line, 'add without an element')
  set.elements.push(
    rest.length === 0
      ? { element, timeout: null, comment: null, nomatch: false, extra: NOTHING }
      : parseElementOptions(element, rest, line),
  )
}

function parseElementOptions(element: string, rest: readonly string[], line: number): SavedElement {
  let timeout: number | null = null
  let comment: string | null = null
  let nomatch = false
  const extra = new Map<string, string>()
  for (let at = 0; at < rest.length; at++) {
    const option = rest[at]!
    if (FLAGS.has(option)) {
      nomatch = true
      continue
    }
    const value = rest[++at]
    if (value === undefined) throw new IpsetTextError(line, `the option '${option}' has no value`)
    if (option === 'timeout') {
      timeout = number(value)
      if (timeout === null) throw new IpsetTextError(line, `not a timeout: ${value}`)
    } else if (option === 'comment') comment = value
    else extra.set(option, value)
  }
  return { element, timeout, comment, nomatch, extra: extra.size === 0 ? NOTHING : extra }
}
