/**
 * Why the text of iptables-save cannot be used. `truncated`: a table without COMMIT; iptables-nft-save ends
 * so, with exit code 0, at a native nft rule that it cannot parse. `incompatible`: it left the table out
 * because a native nft rule stands in it, also with exit code 0. `syntax`: not the text of iptables-save.
 */
export type SaveTextProblem = 'syntax' | 'truncated' | 'incompatible'

export class SaveTextError extends Error {
  readonly problem: SaveTextProblem
  /** Counted from 1. */
  readonly line: number
  readonly table: string | null

  constructor(problem: SaveTextProblem, line: number, table: string | null, message: string) {
    super(`line ${line}: ${message}`)
    this.name = 'SaveTextError'
    this.problem = problem
    this.line = line
    this.table = table
  }
}
