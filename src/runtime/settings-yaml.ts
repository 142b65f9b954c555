import { isMap, LineCounter, parseDocument } from 'yaml'
import { PodfenceError } from '../errors.ts'
import type { FileEntry } from './setting-layers.ts'

/**
 * The top-level keys of a settings file with their lines. Throws CONFIG_INVALID, naming `path`, for what is not YAML, and shows
 * nothing of the text then: it may be a secret.
 */
export function settingEntries(path: string, text: string): FileEntry[] {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const line = (offset: number) => lines.linePos(offset).line
  const errors = document.errors.map(
    error => `${path}:${line(error.pos[0])}: ${withoutSource(error.message)}`,
  )
  if (errors.length > 0) throw new PodfenceError('CONFIG_INVALID', errors.join('\n'))
  const root = document.contents
  if (root === null) return []
  if (!isMap(root)) throw new PodfenceError('CONFIG_INVALID', `${path}: must be a map of settings.`)
  return root.items.map(({ key, value }) => {
    const keyNode = key as { toJSON(): unknown; range?: [number, number, number] }
    const valueNode = value as { toJS(of: typeof document): unknown } | null
    const at = line(keyNode.range?.[0] ?? 0)
    return {
      name: String(keyNode.toJSON()),
      raw: valueNode === null ? null : madeValue(() => valueNode.toJS(document), `${path}:${at}`),
      line: at,
    }
  })
}

/** Throws CONFIG_INVALID for what only shows when it is put together: an alias of nothing. */
function madeValue(make: () => unknown, where: string): unknown {
  try {
    return make()
  } catch (error) {
    const says = 'the value names an anchor (*) that is not there; a text that begins with * must be quoted.'
    throw new PodfenceError('CONFIG_INVALID', `${where}: ${says}`, { cause: error })
  }
}

/** A parser's message, without what it quotes. */
function withoutSource(message: string): string {
  return message.split('\n')[0]!.replace(/: ".*$/, '')
}
