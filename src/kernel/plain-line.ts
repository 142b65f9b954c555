import { PodfenceError } from '../errors.ts'

/**
 * The last gate before a tool's stdin: one line is one command. A newline inside a comment would close
 * the transaction and start a new one, so anything outside printable ASCII is a bug above and is refused.
 */
export function assertPlainLines(lines: readonly string[]): void {
  for (const line of lines) {
    if (!/^[\x20-\x7e]*$/.test(line))
      throw new PodfenceError(
        'KERNEL_REFUSED',
        `a line with a control character was refused: ${JSON.stringify(line)}`,
      )
  }
}
