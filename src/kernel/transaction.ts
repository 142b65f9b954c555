import type { ChainBook, ChainRecord } from './chain-book.ts'

/**
 * What a chain gets that the kernel refused and that it never held: it stays closed. Only a chain that a
 * parent jumps to stays empty, since every packet of the node passes through it.
 */
export function closedStub(book: ChainBook, record: ChainRecord): readonly string[] {
  const heading = record.want?.slice(0, 1) ?? []
  return book.hooks.has(record.name) ? heading : [...heading, '-j DROP']
}

export type Content = (record: ChainRecord) => readonly string[] | null

/** A whole transaction of one table, and which chains it touches. */
export interface Transaction {
  readonly lines: readonly string[]
  readonly touches: readonly string[]
}

/**
 * The restore text that gives each record its content: all chains are declared (which empties them) before
 * any rule names them, then come the hooks, then what goes is deleted. Null when there is nothing to do.
 */
export function transactionOf(
  book: ChainBook,
  records: readonly ChainRecord[],
  options: { readonly hooks: boolean; readonly content?: Content },
): Transaction | null {
  const { content = record => record.want } = options
  const lines: string[] = []
  const rules: string[] = []
  const deletions: string[] = []
  const touches: string[] = []
  for (const record of records) {
    const wanted = content(record)
    touches.push(record.name)
    lines.push(`:${record.name} - [0:0]`)
    if (wanted === null) deletions.push(`-X ${record.name}`)
    else for (const rule of wanted) rules.push(`-A ${record.name} ${rule}`)
  }
  const fateOf = (name: string) => book.fateOf(name)
  const hooks = options.hooks ? book.hooks.lines(fateOf) : []
  if (touches.length + hooks.length === 0) return null
  if (options.hooks) touches.push(...book.hooks.parents(fateOf))
  return { lines: [`*${book.table}`, ...lines, ...rules, ...hooks, ...deletions, 'COMMIT'], touches }
}
