import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { PodfenceError } from '../../src/errors.ts'

/** Holds objects that the API accepts or refuses, not cases. */
const NO_CASES = 'validation'

/**
 * The case files of files and folders, in the order of their names within a folder. A relative path is one of the
 * folder that npm was called in as well, since npm itself goes to the package's. Throws USAGE.
 */
export function caseFiles(paths: readonly string[], calledIn = process.env.INIT_CWD): string[] {
  return paths.flatMap(path => {
    const found = [resolve(path), resolve(calledIn ?? '.', path)].find(existsSync)
    if (found === undefined) throw new PodfenceError('USAGE', `There is no ${path}.`)
    if (!statSync(found).isDirectory()) return [found]
    const files = basename(found) === NO_CASES ? [] : filesBelow(found)
    if (files.length === 0)
      throw new PodfenceError('USAGE', `${path} holds no case: no file of it ends in .json.`)
    return files
  })
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(entry => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return entry.name === NO_CASES ? [] : filesBelow(path)
      return entry.name.endsWith('.json') ? [path] : []
    })
}
