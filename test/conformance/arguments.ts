import { parseArgs } from 'node:util'
import { PodfenceError } from '../../src/errors.ts'
import { BACKENDS, type Backend } from '../../src/kernel/backend.ts'

export interface Arguments {
  readonly depth: 'policy' | 'rules' | 'kernel'
  readonly backends: readonly Backend[]
  /** Files and folders; none: the cases that the package brings. */
  readonly paths: readonly string[]
}

export const USAGE =
  'usage: npm run --silent conformance -- [--depth policy|rules|kernel] [--backend nft|legacy|both] [FILE|DIR...]'

const DEPTHS = ['policy', 'rules', 'kernel'] as const

/** Reads the command line. Throws USAGE. */
export function readArguments(words: readonly string[]): Arguments {
  const { values, positionals } = parse(words)
  const depth = DEPTHS.find(name => name === values.depth)
  if (depth === undefined)
    throw new PodfenceError('USAGE', `--depth ${values.depth}: there is no such depth.`)
  const backends = BACKENDS.filter(name => values.backend === 'both' || values.backend === name)
  if (backends.length === 0)
    throw new PodfenceError('USAGE', `--backend ${values.backend}: there is no such backend.`)
  return { depth, backends, paths: positionals }
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        depth: { type: 'string', default: 'policy' },
        backend: { type: 'string', default: 'both' },
      },
    })
  } catch (error) {
    throw new PodfenceError('USAGE', (error as Error).message)
  }
}
