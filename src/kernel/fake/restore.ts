import type { Family } from '../../model/values.ts'
import { checkCommit } from './commit-check.ts'
import { NoSuchChain } from './kernel-rule.ts'
import type { SetStore } from './set-store.ts'
import { BUILT_IN, Table } from './table.ts'
import { type Draft, declareChain, runCommand } from './table-command.ts'
import { type Backend, complaint, ToolFailure, type ToolResult, usage } from './tool.ts'

export interface RestoreSurroundings {
  readonly family: Family
  readonly backend: Backend
  readonly sets: SetStore
  readonly table: (name: string) => Table | undefined
  readonly commit: (table: Table) => void
}

interface Open extends Draft {
  /** What will be said at COMMIT. */
  refusal: { readonly failure: ToolFailure; readonly line: number } | null
  lastRule: number
}

/**
 * One process of `iptables-restore --noflush -v`, fed piece by piece: it commits at every COMMIT line,
 * echoes comment lines, and ends at the first bad line with nothing of that table applied.
 */
export class FakeRestore {
  readonly #around: RestoreSurroundings
  #line = 0
  #rest = ''
  #open: Open | null = null
  #exit: number | null = null

  constructor(around: RestoreSurroundings) {
    this.#around = around
  }

  /** Null while it runs. */
  get exit(): number | null {
    return this.#exit
  }

  /** What it prints on reading `text`. After its end it reads nothing. */
  write(text: string): { readonly stdout: string; readonly stderr: string } {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    return this.#read(lines)
  }

  /** The end of its input. */
  end(): ToolResult {
    const last = this.#rest === '' ? [] : [this.#rest]
    this.#rest = ''
    const { stdout, stderr } = this.#read(last)
    if (this.#exit !== null) return { exit: this.#exit, stdout, stderr }
    this.#exit = this.#open === null ? 0 : 1
    const { family, backend } = this.#around
    const name = `${family === 4 ? 'ip' : 'ip6'}tables${backend === 'nft' ? '-nft' : ''}-restore`
    const missing = this.#open === null ? '' : `${name}: COMMIT expected at line ${this.#line + 1}\n`
    return { exit: this.#exit, stdout, stderr: stderr + missing }
  }

  #read(lines: readonly string[]): { stdout: string; stderr: string } {
    let stdout = ''
    for (const text of lines) {
      if (this.#exit !== null) break
      this.#line++
      if (text.startsWith('#')) stdout += `${text}\n`
      else if (text.trim() !== '') {
        const stderr = this.#try(text)
        if (stderr !== null) return { stdout, stderr }
      }
    }
    return { stdout, stderr: '' }
  }

  /** Null when the line is well. */
  #try(text: string): string | null {
    try {
      this.#run(text)
      return null
    } catch (error) {
      if (!(error instanceof ToolFailure)) throw error
      return this.#fail(error, this.#line)
    }
  }

  #fail(failure: ToolFailure, line: number): string {
    const { exit, stderr } = complaint(failure, line, this.#around.family, this.#around.backend)
    this.#exit = exit
    return stderr
  }

  #run(text: string): void {
    const open = this.#open
    if (open === null) {
      if (!text.startsWith('*')) throw new ToolFailure('line', 'no table')
      this.#start(text.slice(1).trim())
    } else if (text === 'COMMIT') {
      this.#open = null
      this.#commit(open)
    } else this.#change(open, text)
  }

  #start(name: string): void {
    if (!Object.hasOwn(BUILT_IN, name)) throw usage(`table name '${name}' invalid`)
    const { family, backend, sets, table } = this.#around
    this.#open = {
      table: new Table(name, table(name)),
      family,
      backend,
      sets,
      refusal: null,
      lastRule: this.#line,
    }
  }

  /** nft queues everything and only finds at COMMIT what does not fit; legacy finds most of it at once. */
  #change(open: Open, text: string): void {
    try {
      if (text.startsWith(':')) declareChain(open, text)
      else runCommand(open, text)
      if (/^\s*(?:\[\d+:\d+\] )?-[AIR] /.test(text)) open.lastRule = this.#line
    } catch (error) {
      if (!(error instanceof ToolFailure)) throw error
      const later =
        error.kind === 'kernel' ||
        (open.backend === 'nft' && (error.kind === 'line' || error instanceof NoSuchChain))
      if (!later) throw error
      // The tool's own checks come before the kernel hears of anything.
      const graver = open.refusal?.failure.kind === 'kernel' && error.kind !== 'kernel'
      if (open.refusal === null || graver) open.refusal = { failure: error, line: this.#line }
    }
  }

  #commit(open: Open): void {
    const refusal = open.refusal ?? this.#refusedNow(open)
    if (refusal === null) {
      this.#around.commit(open.table)
      return
    }
    const named = open.backend === 'nft' && !(refusal.failure instanceof NoSuchChain)
    if (named) this.#line = refusal.line
    throw refusal.failure
  }

  #refusedNow(open: Open): Open['refusal'] {
    const failure = checkCommit(open.table, open.backend)
    return failure === null ? null : { failure, line: open.lastRule }
  }
}
