import { access, constants, readdir, readFile, realpath } from 'node:fs/promises'

/** The files of the host that a check reads. */
export interface HostFiles {
  /** null when it is absent or may not be read. */
  text(path: string): Promise<string | null>
  writable(path: string): Promise<boolean>
  /** What a directory holds, sorted; null as above. */
  names(directory: string): Promise<readonly string[] | null>
  /** Where the path leads when all symbolic links are followed; null as above. */
  real(path: string): Promise<string | null>
}

export const hostFiles: HostFiles = {
  async text(path) {
    try {
      return await readFile(path, 'utf8')
    } catch {
      return null
    }
  },
  async writable(path) {
    try {
      await access(path, constants.W_OK)
      return true
    } catch {
      return false
    }
  },
  async names(directory) {
    try {
      return (await readdir(directory)).sort()
    } catch {
      return null
    }
  },
  async real(path) {
    try {
      return await realpath(path)
    } catch {
      return null
    }
  },
}
