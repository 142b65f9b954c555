import { readdirSync, readFileSync } from 'node:fs'

/** A program that another one has started. */
export interface ChildProgram {
  readonly pid: number
  readonly command: string
}

/** The programs that this one has started and that still live. */
export function childrenOf(pid: number): ChildProgram[] {
  return readdirSync('/proc')
    .filter(name => /^[0-9]+$/.test(name) && parentOf(name) === pid)
    .map(name => ({
      pid: Number(name),
      command: textOf(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim(),
    }))
}

/** Whether a program has ended. */
export function hasEnded(pid: number): boolean {
  return parentOf(String(pid)) === null
}

/** Null: there is no such process, or nobody has taken note of its end yet. */
function parentOf(pid: string): number | null {
  const [, state, parent] = /\) (\S) (\d+) /.exec(textOf(`/proc/${pid}/stat`)) ?? []
  return parent === undefined || state === 'Z' ? null : Number(parent)
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
