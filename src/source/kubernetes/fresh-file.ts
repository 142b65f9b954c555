import { readFile, stat } from 'node:fs/promises'

/** Where a file system hides a change from `stat`, it is still seen this soon. */
const REREAD_MS = 60_000

/** A file that others replace now and then: read again when it changes, the last good text standing while it cannot be. */
export class FreshFile {
  readonly path: string
  private readonly now: () => number
  private stamp = ''
  private readAt = 0
  private text: string | null = null

  constructor(path: string, now: () => number = () => performance.now()) {
    this.path = path
    this.now = now
  }

  /** Its text now. Throws what the file system throws when it could never be read. */
  async read(): Promise<string> {
    try {
      const { dev, ino, size, mtimeNs } = await stat(this.path, { bigint: true })
      const stamp = `${dev}:${ino}:${size}:${mtimeNs}`
      if (this.text !== null && stamp === this.stamp && this.now() - this.readAt < REREAD_MS) return this.text
      const text = await readFile(this.path, 'utf8')
      this.stamp = stamp
      this.readAt = this.now()
      // A writer that empties the file first is about to fill it.
      if (text !== '' || this.text === null) this.text = text
    } catch (error) {
      if (this.text === null) throw error
    }
    return this.text
  }

  /** The next read looks into the file, whatever `stat` says. */
  distrust(): void {
    this.stamp = ''
  }
}
