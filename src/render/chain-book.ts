import { type Chain, chainRules } from './chain.ts'
import { type ChainChange, RANKS } from './kernel-delta.ts'
import { messageText } from './safe-text.ts'

/** More than any rank has orders. */
const ORDERS = 1000

interface Page {
  readonly change: ChainChange & { readonly rules: readonly string[] }
  readonly title: string
  readonly order: number
}

/** All chains as they were last rendered, in groups that are replaced as a whole, and which of them changed. */
export class ChainBook {
  readonly #pages = new Map<string, Page>()
  readonly #groups = new Map<string, readonly string[]>()
  /** What each touched chain was when the changes were last taken. */
  readonly #before = new Map<string, Page | null>()

  /** A group's chains from now on; those it had and has no more are to go. */
  replace(group: string, chains: readonly Chain[]): void {
    const keys = chains.map(keyOf)
    const kept = new Set(keys)
    for (const key of this.#groups.get(group) ?? []) if (!kept.has(key)) this.#set(key, null)
    if (keys.length === 0) this.#groups.delete(group)
    else this.#groups.set(group, keys)
    for (const [index, chain] of chains.entries()) {
      const key = keys[index]!
      const page = this.#pages.get(key)
      if (page === undefined || !sameText(page, chain)) this.#set(key, pageOf(chain))
    }
  }

  /** What changed since the last take: chains in an order in which they can be made, then those that go. */
  take(): ChainChange[] {
    const made: Page[] = []
    const gone: Page[] = []
    for (const [key, before] of this.#before) {
      const now = this.#pages.get(key) ?? null
      if (now === null) {
        if (before !== null) gone.push(before)
      } else if (before === null || !sameRules(before, now)) made.push(now)
    }
    this.#before.clear()
    const deletions = inOrder(gone).reverse()
    return [
      ...inOrder(made).map(page => page.change),
      ...deletions.map(page => ({ ...page.change, rules: null })),
    ]
  }

  /** Every chain, in an order in which they can be made. */
  all(): ChainChange[] {
    return inOrder([...this.#pages.values()]).map(page => page.change)
  }

  #set(key: string, page: Page | null): void {
    if (!this.#before.has(key)) this.#before.set(key, this.#pages.get(key) ?? null)
    if (page === null) this.#pages.delete(key)
    else this.#pages.set(key, page)
  }
}

function keyOf({ family, table, name }: Chain): string {
  return `${family} ${table} ${name}`
}

function pageOf(chain: Chain): Page {
  const { family, table, name, rank, title } = chain
  const order = RANKS.indexOf(rank) * ORDERS + (chain.order ?? 0)
  const owner = messageText(chain.owner)
  return { change: { family, table, name, rules: chainRules(chain), rank, owner }, title, order }
}

/** The heading follows from the title and the body, so it need not be made to compare. */
function sameText(page: Page, chain: Chain): boolean {
  const { rules } = page.change
  return (
    page.title === chain.title &&
    rules.length === chain.body.length + 1 &&
    chain.body.every((line, index) => line === rules[index + 1])
  )
}

function sameRules(left: Page, right: Page): boolean {
  const [a, b] = [left.change.rules, right.change.rules]
  return a.length === b.length && a.every((line, index) => line === b[index])
}

function inOrder(pages: Page[]): Page[] {
  return pages.sort((a, b) => a.order - b.order)
}
