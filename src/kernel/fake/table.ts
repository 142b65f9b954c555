import type { KernelRule } from './kernel-rule.ts'
import type { Hook } from './packet.ts'

export type Policy = 'ACCEPT' | 'DROP'

/** In the order in which iptables-nft-save prints them. */
export const BUILT_IN: Readonly<Record<string, readonly Hook[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
}

/**
 * One table of one family: the kernel's own chains with their policies, and everybody's chains. A draft of a
 * transaction is a clone; a chain's list is copied when the draft first changes it.
 */
export class Table {
  readonly name: string
  readonly policies: Map<string, Policy>
  readonly #chains: Map<string, KernelRule[]>
  /** How many rules of this table refer to a chain. */
  readonly #references: Map<string, number>
  readonly #copied = new Set<string>()

  constructor(name: string, from?: Table) {
    this.name = name
    const hooks = BUILT_IN[name] ?? []
    this.policies = new Map(from?.policies ?? hooks.map(hook => [hook, 'ACCEPT']))
    this.#chains = new Map(from === undefined ? hooks.map(hook => [hook, []]) : from.#chains)
    this.#references = new Map(from === undefined ? [] : from.#references)
  }

  isBuiltIn(chain: string): boolean {
    return this.policies.has(chain)
  }

  rules(chain: string): readonly KernelRule[] | undefined {
    return this.#chains.get(chain)
  }

  /** The kernel's own in their order, then the others sorted. */
  chainNames(): string[] {
    const others = [...this.#chains.keys()].filter(name => !this.isBuiltIn(name))
    return [...(BUILT_IN[this.name] ?? []), ...others.sort()]
  }

  isReferenced(chain: string): boolean {
    return (this.#references.get(chain) ?? 0) > 0
  }

  addChain(chain: string): void {
    this.#chains.set(chain, [])
    this.#copied.add(chain)
  }

  removeChain(chain: string): void {
    this.flush(chain)
    this.#chains.delete(chain)
  }

  flush(chain: string): void {
    for (const rule of this.#chains.get(chain) ?? []) this.#count(rule, -1)
    this.addChain(chain)
  }

  /** Puts rules in at a place and takes as many out there as `remove` says. */
  splice(chain: string, at: number, remove: number, ...rules: KernelRule[]): void {
    if (!this.#copied.has(chain)) {
      this.#chains.set(chain, [...this.#chains.get(chain)!])
      this.#copied.add(chain)
    }
    for (const rule of this.#chains.get(chain)!.splice(at, remove, ...rules)) this.#count(rule, -1)
    for (const rule of rules) this.#count(rule, 1)
  }

  *allRules(): Generator<readonly [string, KernelRule]> {
    for (const [chain, rules] of this.#chains) for (const rule of rules) yield [chain, rule]
  }

  #count(rule: KernelRule, by: number): void {
    if (rule.target === null || rule.target.kind === 'act') return
    const { chain } = rule.target
    this.#references.set(chain, (this.#references.get(chain) ?? 0) + by)
  }
}
