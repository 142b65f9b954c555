import { spawnSync } from 'node:child_process'
import type { Backend, ToolResult } from '../../../src/kernel/fake/tool.ts'
import type { Family } from '../../../src/model/values.ts'

/** The real tools, for the tests that hold the fake against them. Only ever inside a sandbox. */

export function run(command: string, args: readonly string[], input = ''): ToolResult {
  const { status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8' })
  return { exit: status ?? -1, stdout, stderr }
}

export function must(command: string, ...args: string[]): void {
  const { exit, stderr } = run(command, args)
  if (exit !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}

function tool(family: Family, backend: Backend, what: string): string {
  return `ip${family === 6 ? '6' : ''}tables-${backend}-${what}`
}

export function restore(family: Family, backend: Backend, text: string): ToolResult {
  return run(tool(family, backend, 'restore'), ['--noflush', '-v'], text)
}

export function save(family: Family, backend: Backend, ...args: string[]): string {
  return run(tool(family, backend, 'save'), args).stdout
}

/** Which of these is not installed, as the reason of a skip. */
export function lacks(...tools: readonly string[]): string | false {
  const missing = tools.find(name => spawnSync(name, ['--version']).error !== undefined)
  return missing === undefined ? false : `needs ${missing}`
}

/** Rules, chains and policies of both families. */
export function flushAll(backend: Backend): void {
  for (const family of [4, 6] as const) {
    const text = ['raw', 'mangle', 'filter'].map(table => `*${table}\n-F\n-X\nCOMMIT\n`)
    const policies = '*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\nCOMMIT\n'
    const { exit, stderr } = restore(family, backend, text.join('') + policies)
    if (exit !== 0) throw new Error(stderr)
  }
}
