import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PodfenceError } from '../errors.ts'
import { parseObjects } from '../model/object.ts'
import { printObjectName } from '../model/object-kind.ts'
import { type ObjectProblem, printProblem } from '../model/object-problem.ts'
import type { WrittenObject } from '../model/object-reader.ts'
import type { Terminal } from './terminal.ts'

/**
 * The objects of `-f` arguments: files, directories (their *.yaml and *.yml, no sub-directories) or `-` for stdin.
 * All or nothing: throws OBJECT_INVALID with every problem when one object cannot be taken.
 */
export async function objectsFrom(paths: readonly string[], terminal: Terminal): Promise<WrittenObject[]> {
  const objects: WrittenObject[] = []
  const problems: string[] = []
  for (const path of paths) {
    for (const { file, text } of await textsOf(path, terminal)) {
      const parsed = parseObjects(text, file)
      objects.push(...parsed.objects)
      problems.push(...parsed.problems.map(sentence))
      problems.push(...parsed.objects.flatMap(object => object.check()).map(sentence))
    }
  }
  problems.push(...twice(objects))
  if (problems.length > 0) throw new PodfenceError('OBJECT_INVALID', problems.join('\n'))
  return objects
}

function sentence(problem: ObjectProblem): string {
  return `${printProblem(problem)}. ${problem.remedy}`
}

/** Which of two definitions is meant cannot be known. */
function twice(objects: readonly WrittenObject[]): string[] {
  const seen = new Map<string, WrittenObject>()
  return objects.flatMap(object => {
    const name = printObjectName(object.kind, object.metadata)
    const first = seen.get(name)
    seen.set(name, object)
    if (first === undefined) return []
    const { file, line } = object.place
    return [`${file}:${line}: ${name} stands in ${first.place.file}:${first.place.line} already.`]
  })
}

interface NamedText {
  readonly file: string
  readonly text: string
}

async function textsOf(path: string, terminal: Terminal): Promise<NamedText[]> {
  if (path === '-') return [{ file: 'stdin', text: await terminal.input() }]
  try {
    if (!(await stat(path)).isDirectory()) return [{ file: path, text: await readFile(path, 'utf8') }]
    const names = (await readdir(path)).filter(name => /^[^.].*\.ya?ml$/i.test(name)).sort()
    return await Promise.all(
      names.map(async name => ({ file: join(path, name), text: await readFile(join(path, name), 'utf8') })),
    )
  } catch (cause) {
    throw new PodfenceError('USAGE', `${path} cannot be read: ${(cause as Error).message}.`, { cause })
  }
}
