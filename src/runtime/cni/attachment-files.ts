import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { AttachmentRecord } from './attachment.ts'
import { recordOf } from './request.ts'

const SUFFIX = '.json'

/**
 * RUNDIR/attachments: a file for each sandbox, so that a restarted agent knows its pods' interfaces before its first
 * sync. It lies where a reboot empties it, as a reboot ends every sandbox. Reads and writes at once, without giving
 * way: a few hundred bytes in memory, and two words of one pod must not overtake each other.
 */
export class AttachmentFiles {
  readonly #directory: string

  constructor(runDir: string) {
    this.#directory = join(runDir, 'attachments')
  }

  /** All that can be read, and what is wrong with the others, which are removed. Throws what the file system throws. */
  load(): { readonly records: readonly AttachmentRecord[]; readonly problems: readonly string[] } {
    this.#make()
    const records: AttachmentRecord[] = []
    const problems: string[] = []
    for (const name of readdirSync(this.#directory)) {
      const file = join(this.#directory, name)
      try {
        if (!name.endsWith(SUFFIX)) throw new Error('it was not finished')
        const record = recordOf(JSON.parse(readFileSync(file, 'utf8')))
        if (`${record.sandbox}${SUFFIX}` !== name) throw new Error(`it names the sandbox ${record.sandbox}`)
        records.push(record)
      } catch (error) {
        problems.push(`${file}: ${(error as Error).message}`)
        rmSync(file, { force: true, recursive: true })
      }
    }
    return { records, problems }
  }

  /** A reader sees the record whole or not at all. Throws what the file system throws. */
  write(record: AttachmentRecord): void {
    const target = this.#file(record.sandbox)
    const draft = `${target}.draft`
    this.#make()
    writeFileSync(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 })
    renameSync(draft, target)
  }

  remove(sandbox: string): void {
    rmSync(this.#file(sandbox), { force: true })
  }

  #make(): void {
    mkdirSync(dirname(this.#directory), { recursive: true, mode: 0o755 })
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  #file(sandbox: string): string {
    return join(this.#directory, `${sandbox}${SUFFIX}`)
  }
}
