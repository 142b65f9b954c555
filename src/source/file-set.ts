import { refused } from './event.ts'

/** What one file says. */
export interface FileContent {
  readonly entries: readonly { readonly key: string; readonly value: string }[]
  /** `keys` null: it cannot be told which objects the faulty part of the file was meant to hold. */
  readonly problems: readonly { readonly message: string; readonly keys: readonly string[] | null }[]
}

interface KnownFile {
  readonly stamp: string
  readonly content: FileContent
  /** Keys the file held before it had a part that nobody can read; they are not gone, only refused. */
  readonly carried: ReadonlySet<string>
}

export interface MergedFiles {
  readonly entries: ReadonlyMap<string, string>
  /** For people, one line each. */
  readonly problems: readonly string[]
  /** False while some part of some file may be an object that nobody can name. */
  readonly whole: boolean
}

/**
 * The files of a directory as one set of keys and values. Pure: files come as text, a stamp tells whether one changed.
 * A faulty object flows as a refused value, so the model keeps its last good version or closes what it must.
 */
export class FileSet {
  private readonly read: (text: string, file: string) => FileContent
  private files = new Map<string, KnownFile>()

  constructor(read: (text: string, file: string) => FileContent) {
    this.read = read
  }

  stampOf(name: string): string | null {
    return this.files.get(name)?.stamp ?? null
  }

  take(name: string, stamp: string, text: string): void {
    this.set(name, stamp, this.read(text, name))
  }

  /** The file is there and cannot be read at all. */
  takeUnreadable(name: string, stamp: string, reason: string): void {
    this.set(name, stamp, { entries: [], problems: [{ message: `${name}: ${reason}`, keys: null }] })
  }

  /** Forgets every file that is not among `names`. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.files.keys()) if (!names.has(name)) this.files.delete(name)
  }

  /** Where two define one key, the first in the order of file names (then of the file) holds. */
  merge(): MergedFiles {
    const entries = new Map<string, string>()
    const owners = new Map<string, string>()
    const problems: string[] = []
    let whole = true
    const claim = (name: string, key: string, value: string) => {
      const owner = owners.get(key)
      if (owner !== undefined) {
        const where = owner === name ? `twice in ${name}` : `in ${owner} and in ${name}`
        problems.push(`${key} is defined ${where}; the first one holds`)
        return
      }
      owners.set(key, name)
      entries.set(key, value)
    }
    const names = [...this.files.keys()].sort()
    for (const name of names) {
      const { content } = this.files.get(name)!
      for (const { key, value } of content.entries) claim(name, key, value)
      for (const { message, keys } of content.problems) {
        problems.push(message)
        if (keys === null) whole = false
        for (const key of keys ?? []) claim(name, key, refused(message))
      }
    }
    for (const name of names) {
      const { carried, content } = this.files.get(name)!
      const message = content.problems.find(({ keys }) => keys === null)?.message ?? name
      for (const key of carried) if (!entries.has(key)) entries.set(key, refused(message))
    }
    return { entries, problems, whole }
  }

  private set(name: string, stamp: string, content: FileContent): void {
    const before = this.files.get(name)
    const named = (known: FileContent) => [
      ...known.entries.map(({ key }) => key),
      ...known.problems.flatMap(({ keys }) => keys ?? []),
    ]
    const carried = new Set<string>()
    if (before && content.problems.some(({ keys }) => keys === null))
      for (const key of [...named(before.content), ...before.carried]) carried.add(key)
    this.files.set(name, { stamp, content, carried })
  }
}
