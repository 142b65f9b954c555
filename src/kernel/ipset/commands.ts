import type { Family } from '../../model/values.ts'
import { splitSetLine } from './words.ts'

/** The lines of ipset's language that podfence writes, as values. `exist` is `-exist`: no error when so already. */
export type SetCommand =
  | {
      readonly verb: 'create'
      readonly set: string
      readonly type: string
      readonly family: Family
      readonly maxelem: number | null
      /** Seconds, the default of each element; null: entries stay. */
      readonly timeout: number | null
      readonly exist: boolean
    }
  | {
      readonly verb: 'add'
      readonly set: string
      readonly element: string
      readonly timeout: number | null
      readonly exist: boolean
    }
  | { readonly verb: 'del'; readonly set: string; readonly element: string; readonly exist: boolean }
  | { readonly verb: 'test'; readonly set: string; readonly element: string }
  | { readonly verb: 'swap' | 'rename'; readonly set: string; readonly other: string }
  | { readonly verb: 'flush' | 'destroy'; readonly set: string }

/** ipset's own limit. */
export const SET_NAME_LIMIT = 31
/** The kernel keeps milliseconds in 32 bits. */
export const TIMEOUT_LIMIT = 2147483

/** One line without its newline. Throws RangeError for a word that would change the line's meaning. */
export function printSetCommand(command: SetCommand): string {
  const { verb } = command
  const set = word(command.set)
  if (set.length > SET_NAME_LIMIT)
    throw new RangeError(`a set's name over ${SET_NAME_LIMIT} characters: ${set}`)
  if (verb === 'create') {
    const family = command.family === 4 ? 'inet' : 'inet6'
    const maxelem = command.maxelem === null ? '' : ` maxelem ${natural(command.maxelem, 0xffffffff)}`
    return `create ${set} ${word(command.type)} family ${family}${maxelem}${timeout(command.timeout)}${exist(command)}`
  }
  if (verb === 'add') return `add ${set} ${word(command.element)}${timeout(command.timeout)}${exist(command)}`
  if (verb === 'del') return `del ${set} ${word(command.element)}${exist(command)}`
  if (verb === 'test') return `test ${set} ${word(command.element)}`
  if (verb === 'swap' || verb === 'rename') return `${verb} ${set} ${word(command.other)}`
  return `${verb} ${set}`
}

function exist(command: { readonly exist: boolean }): string {
  return command.exist ? ' -exist' : ''
}

function timeout(seconds: number | null): string {
  return seconds === null ? '' : ` timeout ${natural(seconds, TIMEOUT_LIMIT)}`
}

function natural(value: number, limit: number): number {
  if (!Number.isInteger(value) || value < 0 || value > limit)
    throw new RangeError(`not a whole number 0..${limit}: ${value}`)
  return value
}

/** Blanks, quotes and control characters divide words; a leading dash is an option, a leading # a comment. */
function word(text: string): string {
  if (!/^(?![#!-])[\x21-\x7e]+$/.test(text) || /["'\\]/.test(text))
    throw new RangeError(`not one word of ipset's language: ${JSON.stringify(text)}`)
  return text
}

/** A line that `printSetCommand` could have written, in any order of options; null for every other line. */
export function parseSetCommand(line: string): SetCommand | null {
  const words = splitSetLine(line)
  const existAt = words?.indexOf('-exist') ?? -1
  const exist = existAt >= 0
  if (words === null) return null
  if (exist) words.splice(existAt, 1)
  const [verb, set, second, ...rest] = words
  if (verb === undefined || set === undefined || words.some(each => each.startsWith('-'))) return null
  if (second === undefined) {
    return (verb === 'flush' || verb === 'destroy') && !exist ? { verb, set } : null
  }
  const options = pairs(rest)
  if (options === null) return null
  if (verb === 'create') return parseCreate(set, second, options, exist)
  if (verb === 'add') {
    const seconds = number(options, 'timeout')
    return seconds === undefined || options.size > (seconds === null ? 0 : 1)
      ? null
      : { verb, set, element: second, timeout: seconds, exist }
  }
  if (rest.length > 0) return null
  if (verb === 'del') return { verb, set, element: second, exist }
  if (exist) return null
  if (verb === 'test') return { verb, set, element: second }
  return verb === 'swap' || verb === 'rename' ? { verb, set, other: second } : null
}

const CREATE_OPTIONS: ReadonlySet<string> = new Set(['family', 'maxelem', 'timeout'])

function parseCreate(
  set: string,
  type: string,
  options: ReadonlyMap<string, string>,
  exist: boolean,
): SetCommand | null {
  const family = options.get('family') ?? 'inet'
  const maxelem = number(options, 'maxelem')
  const seconds = number(options, 'timeout')
  if (family !== 'inet' && family !== 'inet6') return null
  if (maxelem === undefined || seconds === undefined) return null
  if ([...options.keys()].some(name => !CREATE_OPTIONS.has(name))) return null
  return { verb: 'create', set, type, family: family === 'inet' ? 4 : 6, maxelem, timeout: seconds, exist }
}

function pairs(words: readonly string[]): Map<string, string> | null {
  const options = new Map<string, string>()
  for (let at = 0; at < words.length; at += 2) {
    const value = words[at + 1]
    if (value === undefined || options.has(words[at]!)) return null
    options.set(words[at]!, value)
  }
  return options
}

/** Null when absent, undefined when it is no number. */
function number(options: ReadonlyMap<string, string>, name: string): number | null | undefined {
  const text = options.get(name)
  if (text === undefined) return null
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined
}
