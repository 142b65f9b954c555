import { RANKS } from '../render/kernel-delta.ts'
import type { ChainBook, ChainRecord } from './chain-book.ts'
import type { RestoreError } from './restore-error.ts'
import { type Content, closedStub, type Transaction, transactionOf } from './transaction.ts'

/**
 * So many culprits are no accident of a rule (a kernel module is missing, say), and finding each of a
 * thousand would hold up every other change for half a minute. From there on pieces are refused whole.
 */
const MOST_CULPRITS = 32

interface Surgeon {
  /** Commits and, when acknowledged, notes the content; returns the refusal otherwise. */
  readonly commit: (
    transaction: Transaction,
    records: readonly ChainRecord[],
    content: Content,
  ) => Promise<RestoreError | null>
  readonly setGoes: (name: string) => boolean
}

/**
 * Finds what the kernel refuses in one table, and applies all the rest. First every new chain is made as a
 * closed stub, so that no piece lacks what it refers to; then the contents by rank, in halves until the
 * culprits stand alone; then the hooks; then what goes. A culprit keeps its last good content, or stays a
 * stub when it has none or when that content leans on something that goes.
 */
export async function isolate(book: ChainBook, refusal: RestoreError, surgeon: Surgeon): Promise<void> {
  const pending = book.pending()
  const wanted = pending.filter(record => record.want !== null)
  const fresh = wanted.filter(record => record.have === null)
  const stubs = await commitPart(book, fresh, surgeon, record => closedStub(book, record))
  if (stubs !== null) {
    // Not even stubs: the table itself is refused, and no splitting helps.
    for (const record of pending) book.refuse(record, refusal.said || refusal.message)
    return
  }
  for (const rank of RANKS) {
    await halve(
      book,
      wanted.filter(record => record.rank === rank),
      surgeon,
    )
  }
  for (const [record] of book.refused()) {
    if (record.have !== null && leansOnGoing(record.have, book, surgeon.setGoes))
      await commitPart(book, [record], surgeon, record => closedStub(book, record))
  }
  const hooks = transactionOf(book, [], { hooks: true })
  if (hooks !== null && (await surgeon.commit(hooks, [], () => null)) === null)
    book.hooks.written(name => book.fateOf(name))
  await halve(
    book,
    pending.filter(record => record.want === null),
    surgeon,
  )
}

async function halve(book: ChainBook, records: readonly ChainRecord[], surgeon: Surgeon): Promise<void> {
  const refusal = await commitPart(book, records, surgeon)
  if (refusal === null) return
  if (records.length === 1 || book.refused().length >= MOST_CULPRITS) {
    for (const record of records) book.refuse(record, refusal.said || refusal.message)
    return
  }
  const named = records.findIndex(({ name }) => refusal.line?.startsWith(`-A ${name} `))
  if (named >= 0) {
    // The tool named the line: that chain alone on one side, all others on the other.
    await halve(book, records.slice(named, named + 1), surgeon)
    await halve(book, [...records.slice(0, named), ...records.slice(named + 1)], surgeon)
    return
  }
  const middle = records.length >> 1
  await halve(book, records.slice(0, middle), surgeon)
  await halve(book, records.slice(middle), surgeon)
}

async function commitPart(
  book: ChainBook,
  records: readonly ChainRecord[],
  surgeon: Surgeon,
  content: Content = record => record.want,
): Promise<RestoreError | null> {
  const transaction = transactionOf(book, records, { hooks: false, content })
  return transaction === null ? null : surgeon.commit(transaction, records, content)
}

/** Does a kept content refer to a chain or a set that is to go? Then it would hold that back for ever. */
function leansOnGoing(
  rules: readonly string[],
  book: ChainBook,
  setGoes: (name: string) => boolean,
): boolean {
  return rules.some(rule => {
    const target = /(?:^| )-[jg] (podf-\S+)/.exec(rule)?.[1]
    if (target !== undefined && book.fateOf(target) === 'go') return true
    for (const [, set = ''] of rule.matchAll(/--match-set (\S+)/g)) if (setGoes(set)) return true
    return false
  })
}
