import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeyChange, Source, SourceEvent } from './event.ts'
import { type FileContent, FileSet, type MergedFiles } from './file-set.ts'

export interface FilesSourceOptions {
  readonly directory: string
  /** What a file's text says; composed in, since the objects are the model's. */
  readonly read: (text: string, file: string) => FileContent
  /** Told whenever they change: one line for every problem of the files. */
  readonly onProblems?: (problems: readonly string[]) => void
  /** Looks again that often, also where the kernel reports nothing (network file systems, links to elsewhere). */
  readonly rescanMs?: number
  /** Quiet time after a change before files are read; a writer that does not rename gets it to finish. */
  readonly settleMs?: number
}

const RESCAN_MS = 30_000
const SETTLE_MS = 100
/** How many settle times a burst may last at most. */
const LONGEST_BURST = 20

/** A directory of YAML files (`*.yaml`, `*.yml`; none hidden, no sub-directories), watched live. */
export class FilesSource implements Source {
  readonly name: string
  private readonly options: FilesSourceOptions
  private readonly files: FileSet
  private readonly rescanMs: number
  private readonly settleMs: number
  private watcher: { readonly of: string; readonly handle: FSWatcher } | null = null
  private wake: (afterMs: number) => void = () => undefined
  private mustSnapshot = true
  private told: ReadonlyMap<string, string> = new Map()
  private problems: readonly string[] = []
  private lastConnection = ''
  private revision = 0

  constructor(options: FilesSourceOptions) {
    this.options = options
    this.name = `files ${options.directory}`
    this.files = new FileSet(options.read)
    this.rescanMs = options.rescanMs ?? RESCAN_MS
    this.settleMs = options.settleMs ?? SETTLE_MS
  }

  relist(_reason: string): void {
    this.mustSnapshot = true
    this.wake(0)
  }

  async run(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void> {
    const stop = () => this.wake(0)
    signal.addEventListener('abort', stop)
    try {
      while (!signal.aborted) {
        const woken = this.sleep()
        let settled = true
        try {
          settled = await this.scan()
        } catch (error) {
          this.connection(emit, false, (error as Error).message)
          this.unwatch()
          await woken
          continue
        }
        if (signal.aborted) return
        if (!settled) this.wake(this.settleMs)
        if (settled || this.revision > 0) this.tell(emit, this.files.merge())
        await woken
      }
    } finally {
      signal.removeEventListener('abort', stop)
      this.wake(0)
      this.unwatch()
    }
  }

  /** Resolves at the next rescan, or sooner when `wake` says so; the latest wake within a burst counts. */
  private sleep(): Promise<void> {
    return new Promise(resolve => {
      let timer = setTimeout(resolve, this.rescanMs)
      let latest = Number.POSITIVE_INFINITY
      this.wake = afterMs => {
        clearTimeout(timer)
        // A writer that never rests must not keep everything else waiting.
        const now = performance.now()
        latest = Math.min(latest, now + LONGEST_BURST * afterMs)
        timer = setTimeout(resolve, Math.max(0, Math.min(afterMs, latest - now)))
      }
    })
  }

  /** Reads what changed. Resolves with false when a file is being written right now. */
  private async scan(): Promise<boolean> {
    const { directory } = this.options
    const { ino, dev } = await stat(directory)
    this.watch(`${dev}:${ino}`)
    const all = await readdir(directory)
    const names = all.filter(name => /^[^.].*\.ya?ml$/i.test(name))
    let settled = true
    const present = new Set<string>()
    for (const name of names) {
      const stamp = await this.stamp(name)
      if (stamp === null) continue
      present.add(name)
      if (stamp === this.files.stampOf(name)) continue
      try {
        const text = await readFile(join(directory, name), 'utf8')
        if ((await this.stamp(name)) === stamp) this.files.take(name, stamp, text)
        else settled = false
      } catch (error) {
        this.files.takeUnreadable(name, stamp, (error as Error).message)
      }
    }
    this.files.keepOnly(present)
    return settled
  }

  /** What changes whenever the file does; null when there is no such file. */
  private async stamp(name: string): Promise<string | null> {
    try {
      const found = await stat(join(this.options.directory, name), { bigint: true })
      return found.isFile()
        ? `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`
        : null
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      return `unreadable: ${(error as Error).message}`
    }
  }

  private tell(emit: (event: SourceEvent) => void, merged: MergedFiles): void {
    this.report(merged.problems)
    if (this.revision === 0 && !merged.whole) {
      // Before the first list there is no last good state, and what cannot be read may be a deny.
      this.connection(emit, false, `waiting for a first complete list: ${merged.problems[0]}`)
      return
    }
    this.connection(emit, true, this.name)
    const changes = this.mustSnapshot ? [] : changesBetween(this.told, merged.entries)
    if (!this.mustSnapshot && changes.length === 0) return
    this.revision += 1
    const revision = String(this.revision)
    if (this.mustSnapshot) emit({ kind: 'snapshot', revision, entries: merged.entries })
    else emit({ kind: 'changes', revision, changes })
    this.mustSnapshot = false
    this.told = merged.entries
  }

  private report(problems: readonly string[]): void {
    if (problems.join('\n') === this.problems.join('\n')) return
    this.problems = problems
    this.options.onProblems?.(problems)
  }

  private connection(emit: (event: SourceEvent) => void, connected: boolean, reason: string): void {
    const text = `${connected} ${reason}`
    if (text === this.lastConnection) return
    this.lastConnection = text
    emit({ kind: 'connection', connected, reason })
  }

  /** Watches the directory that now has this path; without a watch (no inotify left) the rescans remain. */
  private watch(identity: string): void {
    if (this.watcher?.of === identity) return
    this.unwatch()
    try {
      const handle = watch(this.options.directory, () => this.wake(this.settleMs))
      handle.on('error', () => this.unwatch())
      this.watcher = { of: identity, handle }
    } catch {
      this.watcher = null
    }
  }

  private unwatch(): void {
    this.watcher?.handle.close()
    this.watcher = null
  }
}

function changesBetween(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): KeyChange[] {
  const changes: KeyChange[] = []
  for (const key of before.keys()) if (!after.has(key)) changes.push({ key, value: null })
  for (const [key, value] of after) if (before.get(key) !== value) changes.push({ key, value })
  return changes
}
