import { PodfenceError } from '../errors.ts'
import {
  type Metadata,
  OBJECT_KINDS,
  type ObjectKind,
  objectKeys,
  objectKind,
  objectMetadata,
  objectName,
} from '../model/object-kind.ts'
import { Refusal } from '../model/refusal.ts'
import { suggestion } from '../runtime/nearest.ts'
import { objectsFrom } from './object-files.ts'
import type { Terminal } from './terminal.ts'

/** One object that a command line names. */
export interface ChosenObject {
  readonly kind: ObjectKind
  readonly name: string
  readonly keys: readonly string[]
}

/** The kind of a word such as `policies`. Throws USAGE with a suggestion. */
export function kindNamed(word: string): ObjectKind {
  const kind = objectKind(word)
  if (kind !== null) return kind
  const known = Object.keys(OBJECT_KINDS)
  const meant = suggestion(word, known)
  throw new PodfenceError('USAGE', `${word} is no kind of object.${meant} There are ${known.join(', ')}.`)
}

/** The objects of `KIND NAME...`, or of the files of `-f`. */
export async function chosenObjects(
  words: readonly string[],
  files: readonly string[],
  terminal: Terminal,
): Promise<ChosenObject[]> {
  const written = (await objectsFrom(files, terminal)).map(({ kind, metadata }) => chosen(kind, metadata))
  const [word, ...names] = words
  if (word === undefined) return written
  const kind = kindNamed(word)
  return [...written, ...names.map(name => named(kind, name))]
}

function named(kind: ObjectKind, name: string): ChosenObject {
  const metadata = objectMetadata(kind, name)
  const form = OBJECT_KINDS[kind].names.map(part => part.toUpperCase()).join('/')
  if (metadata === null) throw new PodfenceError('USAGE', `A ${kind} is named ${form}, not ${name}.`)
  return chosen(kind, metadata)
}

function chosen(kind: ObjectKind, metadata: Metadata): ChosenObject {
  try {
    return { kind, name: objectName(kind, metadata), keys: objectKeys(kind, metadata) }
  } catch (error) {
    if (error instanceof Refusal) throw new PodfenceError('USAGE', `${error.reason}. ${error.remedy}`)
    throw error
  }
}
