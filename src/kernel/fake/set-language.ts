import { canonicalElement } from '../ipset/element.ts'
import { splitSetLine } from '../ipset/words.ts'
import { checkSetName, parseHeader, printHeader, SetFailure } from './set-create.ts'
import { readElementOptions, readElements } from './set-element.ts'
import type { FakeSet, SetHeader, SetStore } from './set-store.ts'
import type { ToolResult } from './tool.ts'

/** What a line of ipset's language needs to know beside the sets. */
export interface SetSurroundings {
  readonly sets: SetStore
  /** A rule refers to it, or a test holds it. */
  readonly isReferenced: (name: string) => boolean
}

type Command = (words: readonly string[], exist: boolean, around: SetSurroundings) => ToolResult

const DONE: ToolResult = { exit: 0, stdout: '', stderr: '' }
const ABSENT = 'The set with the given name does not exist'

const COMMANDS: Readonly<Record<string, Command>> = {
  create,
  add,
  del,
  test,
  swap,
  rename,
  flush,
  destroy,
  save: ([name], _exist, { sets }) => ({ ...DONE, stdout: printSets(sets, name) }),
}
const ALIASES: Readonly<Record<string, string>> = {
  '-N': 'create',
  n: 'create',
  '-A': 'add',
  '-D': 'del',
  '-T': 'test',
  '-W': 'swap',
  '-E': 'rename',
  '-F': 'flush',
  '-X': 'destroy',
  x: 'destroy',
}

/** One line as `ipset -` takes it. Blank lines and comments do nothing. */
export function runSetLine(line: string, around: SetSurroundings): ToolResult {
  if (line.trim() === '' || line.trimStart().startsWith('#')) return DONE
  const words = splitSetLine(line) ?? []
  const rest = words.filter(word => word !== '-exist' && word !== '-!')
  const verb = ALIASES[rest[0] ?? ''] ?? rest[0] ?? ''
  if (!Object.hasOwn(COMMANDS, verb)) return { exit: 2, stdout: '', stderr: 'No command specified\n' }
  try {
    return COMMANDS[verb]!(rest.slice(1), rest.length < words.length, around)
  } catch (error) {
    if (!(error instanceof SetFailure)) throw error
    return { exit: 1, stdout: '', stderr: `ipset v7.17: ${error.message}\n` }
  }
}

/** Exactly so many words. */
function arity(verb: string, words: readonly string[], least: number, most = least): void {
  const which = ['', ' second'][words.length] ?? ''
  if (words.length < least)
    throw new SetFailure(
      `Missing${which} mandatory argument to command ${verb}\nTry \`ipset help' for more information.`,
    )
  if (words.length > most) throw new SetFailure(`Unknown argument ${words[most]}`)
}

function find(sets: SetStore, name: string): FakeSet {
  const set = sets.get(name)
  if (set === undefined) throw new SetFailure(ABSENT)
  return set
}

function create(words: readonly string[], exist: boolean, { sets }: SetSurroundings): ToolResult {
  arity('create', words, 2, Infinity)
  const [name, type, ...options] = words as [string, string, ...string[]]
  checkSetName(name)
  const header = parseHeader(type, options)
  const present = sets.get(name)
  if (present === undefined) sets.create(name, header)
  else if (!exist || !sameSet(present, header))
    throw new SetFailure('Set cannot be created: set with the same name already exists')
  return DONE
}

/** What the kernel compares; the family is not among it, so `-exist` passes over a set of the other family. */
function sameSet(left: SetHeader, right: SetHeader): boolean {
  const keys = ['type', 'maxelem', 'timeout', 'counters', 'comment', 'skbinfo'] as const
  return keys.every(key => left[key] === right[key])
}

function add(words: readonly string[], exist: boolean, { sets }: SetSurroundings): ToolResult {
  arity('add', words, 2, Infinity)
  const [name, word, ...rest] = words as [string, string, ...string[]]
  const set = find(sets, name)
  const { timeout, ...options } = readElementOptions(set, rest)
  for (const text of readElements(set, word)) {
    const known = set.elements.has(text)
    if (known && !exist) throw new SetFailure("Element cannot be added to the set: it's already added")
    if (!known && set.elements.size >= set.maxelem)
      throw new SetFailure('Hash is full, cannot add more elements')
    sets.put(set, { text, ...options }, timeout)
  }
  return DONE
}

function del(words: readonly string[], exist: boolean, { sets }: SetSurroundings): ToolResult {
  arity('del', words, 2)
  const [name, word] = words as [string, string]
  const set = find(sets, name)
  for (const text of readElements(set, word)) {
    if (!set.elements.has(text) && !exist)
      throw new SetFailure("Element cannot be deleted from the set: it's not added")
    sets.take(set, text)
  }
  return DONE
}

function test(words: readonly string[], _exist: boolean, { sets }: SetSurroundings): ToolResult {
  arity('test', words, 2)
  const [name, word] = words as [string, string]
  const set = find(sets, name)
  const text = canonicalElement(set.type, set.family, word)
  if (text === null) readElements(set, word)
  if (set.type === 'hash:net' && !word.includes('/'))
    throw new TypeError('the fake tests networks only as they are')
  const present = set.elements.has(text ?? '') && set.elements.get(text!)?.nomatch !== true
  return present
    ? { exit: 0, stdout: '', stderr: `Warning: ${text} is in set ${name}.\n` }
    : { exit: 1, stdout: '', stderr: `${text} is NOT in set ${name}.\n` }
}

function swap(words: readonly string[], _exist: boolean, { sets }: SetSurroundings): ToolResult {
  arity('swap', words, 2)
  const left = find(sets, words[0]!)
  const right = sets.get(words[1]!)
  if (right === undefined) throw new SetFailure('Sets cannot be swapped: the second set does not exist')
  if (left.type !== right.type || left.family !== right.family)
    throw new SetFailure('The sets cannot be swapped: their type does not match')
  sets.swap(left, right)
  return DONE
}

function rename(
  words: readonly string[],
  _exist: boolean,
  { sets, isReferenced }: SetSurroundings,
): ToolResult {
  arity('rename', words, 2)
  const [name, other] = words as [string, string]
  checkSetName(other)
  const set = find(sets, name)
  if (isReferenced(name)) throw new SetFailure('Set cannot be renamed: it is in use by another system')
  if (sets.get(other) !== undefined)
    throw new SetFailure('Set cannot be renamed: a set with the new name already exists')
  sets.rename(set, other)
  return DONE
}

function flush(words: readonly string[], _exist: boolean, { sets }: SetSurroundings): ToolResult {
  arity('flush', words, 0, 1)
  for (const name of words.length === 0 ? sets.names() : words) sets.flush(find(sets, name))
  return DONE
}

/** Without a name all or none go. */
function destroy(
  words: readonly string[],
  _exist: boolean,
  { sets, isReferenced }: SetSurroundings,
): ToolResult {
  arity('destroy', words, 0, 1)
  const names = words.length === 0 ? sets.names() : words
  for (const name of names) {
    find(sets, name)
    if (isReferenced(name))
      throw new SetFailure('Set cannot be destroyed: it is in use by a kernel component')
  }
  for (const name of names) sets.destroy(name)
  return DONE
}

/** `ipset save`, of one set or of all, in the order of creation. */
export function printSets(sets: SetStore, only?: string): string {
  const lines: string[] = []
  for (const name of only === undefined ? sets.names() : [only]) {
    const set = find(sets, name)
    lines.push(`create ${name} ${set.type} ${printHeader(set)}`)
    for (const element of set.elements.values()) {
      const timeout = set.timeout === null ? '' : ` timeout ${sets.secondsLeft(element)}`
      const { counters } = element
      const counted = counters === null ? '' : ` packets ${counters.packets} bytes ${counters.bytes}`
      const comment = element.comment === null ? '' : ` comment "${element.comment}"`
      const nomatch = element.nomatch ? ' nomatch' : ''
      lines.push(`add ${name} ${element.text}${timeout}${nomatch}${counted}${comment}`)
    }
  }
  return lines.map(line => `${line}\n`).join('')
}
