import { SaveTextError } from './save-error.ts'
import { quotesClose, splitWords } from './words.ts'

/** Bigint, because a byte counter outgrows a double's whole numbers. */
export interface Counters {
  readonly packets: bigint
  readonly bytes: bigint
}

export interface SavedChain {
  readonly name: string
  /** Null for a chain that somebody made. */
  readonly policy: string | null
  readonly counters: Counters | null
}

export interface SavedRule {
  readonly chain: string
  /** Unquoted. Made anew at each look: most readers of a big table need the text alone. */
  readonly words: readonly string[]
  /** What follows `-A CHAIN `, as it stands. */
  readonly text: string
  readonly counters: Counters | null
  readonly line: number
}

export interface SavedTable {
  readonly name: string
  readonly chains: readonly SavedChain[]
  readonly rules: readonly SavedRule[]
}

export interface SavedComment {
  readonly line: number
  readonly text: string
}

export interface SavedTables {
  readonly tables: readonly SavedTable[]
  readonly comments: readonly SavedComment[]
  /** Tables that the tool could not read and left out. Only with `needed`; else they are an error. */
  readonly unreadable: readonly string[]
  /** Tables that also hold base chains which only nft can show; what is listed of them is right. */
  readonly withForeignBaseChains: readonly string[]
  /** The nft tool saw that iptables-legacy holds tables too. */
  readonly legacyPresent: boolean
}

export interface ParseSaveOptions {
  /** Tables that must be readable; others may be incompatible. Absent: all. */
  readonly needed?: readonly string[]
}

interface OpenTable {
  readonly name: string
  readonly chains: SavedChain[]
  readonly rules: SavedRule[]
  readonly known: Set<string>
}

const INCOMPATIBLE = /^# Table [`'](\S+)' is incompatible, use 'nft' tool/
const FOREIGN_BASE = /^# Table [`'](\S+)' contains incompatible base-chains/
const LEGACY = /^# Warning: \S+-legacy tables present/
const CHAIN = /^:(\S+) (\S+)(?: \[(\d+):(\d+)\])?\s*$/
const COUNTED = /^\[(\d+):(\d+)\] (-A .*)$/

/**
 * The text of iptables-save or ip6tables-save (`-c` or not, both backends) as values. Throws SaveTextError
 * with the line: an empty text is an empty result, a table without COMMIT is an error.
 */
export function parseSave(text: string, options: ParseSaveOptions = {}): SavedTables {
  const tables: SavedTable[] = []
  const comments: SavedComment[] = []
  const unreadable: string[] = []
  const withForeignBaseChains: string[] = []
  let legacyPresent = false
  let open: OpenTable | null = null
  let line = 0
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline
    const content = text.slice(at, end)
    at = end + 1
    line++
    const first = content.charCodeAt(0)
    if (first === HASH) {
      comments.push({ line, text: content })
      const incompatible = INCOMPATIBLE.exec(content)?.[1]
      if (incompatible !== undefined) {
        if (options.needed?.includes(incompatible) ?? true)
          throw new SaveTextError('incompatible', line, incompatible, unreadableMessage(incompatible))
        unreadable.push(incompatible)
      }
      const foreign = FOREIGN_BASE.exec(content)?.[1]
      if (foreign !== undefined) withForeignBaseChains.push(foreign)
      legacyPresent ||= LEGACY.test(content)
    } else if (content.trim() === '') continue
    else if (open === null) {
      if (first !== STAR || content.length < 2) throw syntax(line, null, content)
      open = { name: content.slice(1).trim(), chains: [], rules: [], known: new Set() }
    } else if (content === 'COMMIT') {
      tables.push({ name: open.name, chains: open.chains, rules: open.rules })
      open = null
    } else if (first === COLON) open.chains.push(parseChain(content, line, open))
    else open.rules.push(parseRuleLine(content, line, open))
  }
  if (open !== null)
    throw new SaveTextError('truncated', line, open.name, `the table '${open.name}' ends without COMMIT`)
  return { tables, comments, unreadable, withForeignBaseChains, legacyPresent }
}

const HASH = 35
const STAR = 42
const COLON = 58
const BRACKET = 91

function unreadableMessage(table: string): string {
  return `the table '${table}' holds native nft rules that iptables-save cannot show`
}

function syntax(line: number, table: string | null, content: string): SaveTextError {
  return new SaveTextError('syntax', line, table, `not a line of iptables-save: ${JSON.stringify(content)}`)
}

function counters(packets: string, bytes: string): Counters {
  return { packets: BigInt(packets), bytes: BigInt(bytes) }
}

function parseChain(content: string, line: number, open: OpenTable): SavedChain {
  const match = CHAIN.exec(content)
  if (match === null) throw syntax(line, open.name, content)
  const name = match[1]!
  if (open.known.has(name))
    throw new SaveTextError('syntax', line, open.name, `the chain '${name}' is declared twice`)
  open.known.add(name)
  return {
    name,
    policy: match[2] === '-' ? null : match[2]!,
    counters: match[3] === undefined ? null : counters(match[3], match[4]!),
  }
}

function parseRuleLine(content: string, line: number, open: OpenTable): SavedRule {
  let body = content
  let counted: Counters | null = null
  if (content.charCodeAt(0) === BRACKET) {
    const match = COUNTED.exec(content)
    if (match === null) throw syntax(line, open.name, content)
    counted = counters(match[1]!, match[2]!)
    body = match[3]!
  }
  if (!body.startsWith('-A ')) throw syntax(line, open.name, content)
  const space = body.indexOf(' ', 3)
  const chain = body.slice(3, space < 0 ? body.length : space)
  if (!open.known.has(chain))
    throw new SaveTextError('syntax', line, open.name, `a rule in the undeclared chain '${chain}'`)
  const text = space < 0 ? '' : body.slice(space + 1)
  if (!quotesClose(text)) throw new SaveTextError('syntax', line, open.name, `a quote never closes: ${text}`)
  return new RuleLine(chain, text, counted, line)
}

class RuleLine implements SavedRule {
  readonly chain: string
  readonly text: string
  readonly counters: Counters | null
  readonly line: number

  constructor(chain: string, text: string, counters: Counters | null, line: number) {
    this.chain = chain
    this.text = text
    this.counters = counters
    this.line = line
  }

  get words(): readonly string[] {
    return splitWords(this.text)!
  }
}
