import type { Family } from '../../model/values.ts'

export type Backend = 'nft' | 'legacy'

/** What a run of one of the tools leaves behind. */
export interface ToolResult {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * How iptables-restore fails. `usage`: the line cannot be read. `line`: it can, but does not fit the table.
 * `kernel`: the whole transaction is refused at COMMIT; nft names the line, legacy only the COMMIT.
 */
export type FailureKind = 'usage' | 'line' | 'kernel'

export class ToolFailure extends Error {
  readonly kind: FailureKind

  constructor(kind: FailureKind, message: string) {
    super(message)
    this.name = 'ToolFailure'
    this.kind = kind
  }
}

export function usage(message: string): ToolFailure {
  return new ToolFailure('usage', message)
}

/** The words of the real tool, version 1.8.9, on stderr, and its exit code. */
export function complaint(
  failure: ToolFailure,
  line: number,
  family: Family,
  backend: Backend,
): { exit: number; stderr: string } {
  const name = `${family === 4 ? 'ip' : 'ip6'}tables${backend === 'nft' ? '-nft' : ''}-restore`
  const version = `${name} v1.8.9 (${backend === 'nft' ? 'nf_tables' : 'legacy'})`
  if (failure.kind === 'usage') {
    const said = failure.message.startsWith('Bad argument')
      ? failure.message
      : `${version}: ${failure.message}`
    const help = `Try \`${name} -h' or '${name} --help' for more information.`
    return { exit: 2, stderr: `${said}\nError occurred at line: ${line}\n${help}\n` }
  }
  if (failure.kind === 'line' || backend === 'legacy') {
    const reason = backend === 'nft' ? `: ${failure.message}.` : ''
    return { exit: 1, stderr: `${name}: line ${line} failed${reason}\n` }
  }
  return { exit: 4, stderr: `${version}: \nline ${line}: ${failure.message}\n` }
}
