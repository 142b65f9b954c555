import { readFile } from 'node:fs/promises'
import { PodfenceError } from '../errors.ts'
import { CONFIG_VARIABLE, type FileEntry } from './setting-layers.ts'

export const CONFIG_PATH = '/etc/podfence/agent.yaml'

/** Which settings file to read; `named` when somebody asked for it, so that it must exist. */
export function settingsPath(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): { path: string; named: boolean } {
  const named = flag ?? env[CONFIG_VARIABLE]
  return { path: named ?? CONFIG_PATH, named: named !== undefined }
}

/**
 * The top-level keys of the YAML file with their lines; null when the file is absent and nobody named it.
 * Throws CONFIG_INVALID for a file that cannot be read or is not YAML.
 */
export async function readSettingsFile(file: {
  path: string
  named: boolean
}): Promise<{ path: string; entries: FileEntry[] } | null> {
  let text: string
  try {
    text = await readFile(file.path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && !file.named) return null
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${message})`
    throw new PodfenceError('CONFIG_INVALID', `The settings file ${file.path} ${why}.`, { cause: error })
  }
  return { path: file.path, entries: await settingEntries(file.path, text) }
}

async function settingEntries(path: string, text: string): Promise<FileEntry[]> {
  // Loaded here alone: verbs that read no file start faster without it.
  const { isMap, LineCounter, parseDocument } = await import('yaml')
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
