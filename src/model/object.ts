import { type Document, isScalar, LineCounter, parseAllDocuments } from 'yaml'
import type { FileContent } from '../source/file-set.ts'
import { type ObjectProblem, type Place, printProblem } from './object-problem.ts'
import { ObjectReader, type WrittenObject } from './object-reader.ts'

export interface WrittenObjects {
  readonly objects: readonly WrittenObject[]
  /** Documents that are no objects. */
  readonly problems: readonly ObjectProblem[]
}

/**
 * Reads the objects of a YAML text with any number of documents. A document that cannot be read is a problem and
 * leaves the others alone. Never throws. `file` is for the messages.
 */
export function parseObjects(text: string, file: string): WrittenObjects {
  const objects: WrittenObject[] = []
  const problems: ObjectProblem[] = []
  let linesBefore = 0
  for (const part of documentsOf(text)) {
    const lines = new LineCounter()
    const before = linesBefore
    const placeAt = (offset: number): Place => {
      const { line, col } = lines.linePos(offset)
      return { file, line: before + Math.max(line, 1), column: Math.max(col, 1) }
    }
    linesBefore += part.split('\n').length - 1
    try {
      const options = { lineCounter: lines, prettyErrors: false, stringKeys: true }
      for (const document of parseAllDocuments(part, options)) {
        const { contents, errors } = document
        const empty = contents === null || (isScalar(contents) && contents.value === null)
        if (empty && errors.length === 0) continue
        const reader = new ObjectReader(document as Document.Parsed, placeAt)
        try {
          objects.push(reader.read())
        } catch (error) {
          problems.push(reader.problem(error))
        }
      }
    } catch (error) {
      const message = `the text cannot be read: ${(error as Error).message}`
      problems.push({ place: placeAt(0), message, remedy: 'Write it as YAML documents.', keys: null })
    }
  }
  return { objects, problems }
}

/**
 * The text cut before each document marker. YAML admits no such line inside a value, but its parser would
 * take everything up to the next quote for the value when a quote is left open.
 */
function documentsOf(text: string): string[] {
  const parts = text.split(/(?<![^\n])(?=---(?:[ \t\r\n]|$))/)
  // Directives and comments before the first marker belong to it.
  if (parts.length > 1 && /^\ufeff?(?:[ \t]*(?:[#%].*)?\r?\n)*$/.test(parts[0]!))
    parts.splice(0, 2, `${parts[0]}${parts[1]}`)
  return parts
}

/** What a file of a directory of objects says, as keys and values. Values are not decoded here: the model does that. */
export function readObjectFile(text: string, file: string): FileContent {
  const { objects, problems } = parseObjects(text, file)
  return {
    entries: objects
      .flatMap(({ changes }) => changes)
      .flatMap(({ key, value }) => (value === null ? [] : [{ key, value }])),
    problems: problems.map(problem => ({ message: printProblem(problem), keys: problem.keys })),
  }
}
