import type { KernelRule } from './kernel-rule.ts'
import type { Hook } from './packet.ts'
import type { Table } from './table.ts'
import { type Backend, ToolFailure } from './tool.ts'

/** The deepest chain below one of the kernel's own that nft takes; legacy has no such limit. */
export const NFT_DEPTH = 15

type Reached = (chain: string) => readonly KernelRule[]

/**
 * What the kernel refuses when a transaction is committed: rules that are reached from where an extension
 * must not stand, and chains that are reached in circles or (nft) too deep. Null: nothing.
 */
export function checkCommit(table: Table, backend: Backend): ToolFailure | null {
  const reached: Reached = chain => reachedRules(table, chain, backend)
  const limit = backend === 'nft' ? NFT_DEPTH : Number.MAX_VALUE
  for (const hook of table.policies.keys()) {
    if (depth(hook, reached, new Map(), new Set()) > limit) return refused('Too many links', hook)
    const misplaced = findMisplaced(table, hook as Hook, backend, reached)
    if (misplaced !== null) return refused('Invalid argument', misplaced)
  }
  return null
}

function refused(reason: string, chain: string): ToolFailure {
  return new ToolFailure('kernel', `RULE_APPEND failed (${reason}): rule in chain ${chain}`)
}

const TAKES_EVERY_PACKET: ReadonlySet<string> = new Set(['-j ACCEPT', '-j DROP', '-j RETURN'])

/** legacy looks no further than a verdict that takes every packet; nft looks at every rule. */
function reachedRules(table: Table, chain: string, backend: Backend): readonly KernelRule[] {
  const rules = table.rules(chain) ?? []
  const last = backend === 'legacy' ? rules.findIndex(({ text }) => TAKES_EVERY_PACKET.has(text)) : -1
  return last < 0 ? rules : rules.slice(0, last + 1)
}

function targets(rules: readonly KernelRule[]): Set<string> {
  const names = new Set<string>()
  for (const { target } of rules) if (target !== null && target.kind !== 'act') names.add(target.chain)
  return names
}

/** How many chains deep it goes below; a circle is infinitely deep. */
function depth(chain: string, reached: Reached, known: Map<string, number>, above: Set<string>): number {
  const before = known.get(chain)
  if (before !== undefined) return before
  if (above.has(chain)) return Infinity
  above.add(chain)
  let deepest = 0
  for (const next of targets(reached(chain)))
    deepest = Math.max(deepest, 1 + depth(next, reached, known, above))
  above.delete(chain)
  known.set(chain, deepest)
  return deepest
}

/** The chain with the first rule that must not be reached from this hook. */
function findMisplaced(table: Table, hook: Hook, backend: Backend, reached: Reached): string | null {
  const waiting = new Set<string>([hook])
  // A set hands out what is added to it on the way, each once.
  for (const chain of waiting) {
    const rules = reached(chain)
    const lenient = backend === 'nft' && !table.isBuiltIn(chain)
    for (const { placements } of rules) {
      const wrong = placements.some(
        ({ hooks, nftBaseOnly }) => hooks?.includes(hook) === false && !(lenient && nftBaseOnly === true),
      )
      if (wrong) return chain
    }
    for (const next of targets(rules)) waiting.add(next)
  }
  return null
}
