import { isMap, LineCounter, parseDocument } from 'yaml'
import { PodfenceError } from '../errors.ts'
import type { FileEntry } from './setting-layers.ts'

/** The top-level keys of a settings file with their lines. Throws CONFIG_INVALID, naming `path`, for what is not YAML. */
export function settingEntries(path: string, text: string): FileEntry[] {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const line = (offset: number) => lines.linePos(offset).line
  const errors = document.errors.map(
    error => `${path}:${line(error.pos[0])}: ${error.message.split('\n')[0]}`,
  )
  if (errors.length > 0) throw new PodfenceError('CONFIG_INVALID', errors.join('\n'))
  const root = document.contents
  if (root === null) return []
  if (!isMap(root)) throw new PodfenceError('CONFIG_INVALID', `${path}: must be a map of settings.`)
  return root.items.map(({ key, value }) => {
    const keyNode = key as { toJSON(): unknown; range?: [number, number, number] }
    const valueNode = value as { toJS(of: typeof document): unknown } | null
    return {
      name: String(keyNode.toJSON()),
      raw: valueNode === null ? null : valueNode.toJS(document),
      line: line(keyNode.range?.[0] ?? 0),
    }
  })
}
