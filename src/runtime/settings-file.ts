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
  // Verbs that read no file start faster without a YAML parser.
  const { settingEntries } = await import('./settings-yaml.ts')
  return { path: file.path, entries: settingEntries(file.path, text) }
}
