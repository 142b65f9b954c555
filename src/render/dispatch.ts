import { formatAddress, formatCidr, parseAddress } from '../model/cidr.ts'
import type { Family } from '../model/values.ts'
import { goto, rule } from './action.ts'
import { addressTree, type TreeNode } from './address-tree.ts'
import type { Chain } from './chain.ts'
import { destination, type Match, source, unmarked } from './match.ts'
import { type ChainKind, chainName } from './name.ts'
import { fromRules, type Owner, sourceRules, toRules } from './owner-rules.ts'
import { ALLOW_CHAIN } from './rule-list.ts'
import type { Style } from './style.ts'

export const FROM_CHAIN = 'podf-from'
export const TO_CHAIN = 'podf-to'
export const SOURCE_CHAIN = 'podf-source'

type TreeKind = 'from' | 'to' | 'source'

interface Tree {
  readonly root: string
  readonly branch: ChainKind
  readonly table: Chain['table']
  readonly side: (net: string) => Match
  /** What the packet meets when no rule of a chain has taken it. */
  readonly tail: (style: Style) => readonly string[]
}

/** A tree ends without a verdict, and its caller drops what came back unmarked; so an emptied chain opens nothing. */
const TREES: Readonly<Record<TreeKind, Tree>> = {
  from: { root: FROM_CHAIN, branch: 'f', table: 'filter', side: source, tail: () => [] },
  to: { root: TO_CHAIN, branch: 't', table: 'filter', side: destination, tail: nobodys },
  source: { root: SOURCE_CHAIN, branch: 's', table: 'raw', side: source, tail: () => [] },
}

/**
 * What the node sends to no workload is accepted here, at the end of the chain that does not know the address.
 * OUTPUT could not tell it from a packet that comes back from an emptied chain.
 */
function nobodys({ options, marks }: Style): string[] {
  return options.nodeToWorkload === 'allow' ? [] : [rule([unmarked(marks.forwarded)], goto(ALLOW_CHAIN))]
}

/** An address of local endpoints; its rules are kept until its owners change. */
interface Entry {
  readonly value: bigint
  readonly owners: Map<string, Owner>
  readonly rules: Partial<Record<TreeKind, readonly string[]>>
}

/** Which local endpoint owns which address of one family, as trees of chains. */
export class Dispatch {
  readonly #entries = new Map<bigint, Entry>()
  readonly #family: Family
  readonly #style: Style

  constructor(family: Family, style: Style) {
    this.#family = family
    this.#style = style
  }

  /** `owner` owns `address` from now on; null: `id` no longer does. */
  set(address: string, id: string, owner: Owner | null): void {
    const { value } = parseAddress(address)!
    const owners = new Map(this.#entries.get(value)?.owners)
    if (owner === null) owners.delete(id)
    else owners.set(id, owner)
    if (owners.size === 0) this.#entries.delete(value)
    else this.#entries.set(value, { value, owners, rules: {} })
  }

  /** All chains of the trees: podf-from, podf-to and, where there are bridges, podf-source with their branches. */
  chains(): Chain[] {
    const entries = [...this.#entries.values()].sort((a, b) => (a.value < b.value ? -1 : 1))
    const addresses = entries.map(entry => entry.value)
    const chains = [...this.#tree('from', addresses), ...this.#tree('to', addresses)]
    if (this.#style.bridges.length === 0) return chains
    const bridged = entries.filter(({ owners }) => [...owners.values()].some(mayHangOnBridge))
    return [
      ...chains,
      ...this.#tree(
        'source',
        bridged.map(entry => entry.value),
      ),
    ]
  }

  #tree(kind: TreeKind, addresses: readonly bigint[]): Chain[] {
    const chains: Chain[] = []
    this.#grow(kind, addressTree(addresses, this.#family), 0, chains)
    return chains
  }

  #grow(kind: TreeKind, node: TreeNode, depth: number, chains: Chain[]): void {
    const { table, side, tail } = TREES[kind]
    for (const branch of node.branches) this.#grow(kind, branch, depth + 1, chains)
    const body = [
      ...node.branches.map(branch => rule([side(formatCidr(branch.net!))], goto(this.#name(kind, branch)))),
      ...node.addresses.flatMap(address => this.#rules(kind, address)),
      ...tail(this.#style),
    ]
    const where = node.net === null ? '' : formatCidr(node.net)
    chains.push({
      family: this.#family,
      table,
      name: this.#name(kind, node),
      rank: 'dispatch',
      order: -depth,
      owner: `dispatch ${kind} ${where}`.trimEnd(),
      title: where === '' ? `dispatch/${kind}` : `dispatch/${kind}/${where}`,
      body,
    })
  }

  #name(kind: TreeKind, { net }: TreeNode): string {
    const { root, branch } = TREES[kind]
    return net === null ? root : chainName(branch, [formatCidr(net)])
  }

  #rules(kind: TreeKind, value: bigint): readonly string[] {
    const entry = this.#entries.get(value)!
    const address = () => formatAddress(value, this.#family)
    const owners = [...entry.owners.values()]
    if (kind === 'from') entry.rules.from ??= fromRules(address(), owners, this.#style)
    else if (kind === 'to') entry.rules.to ??= toRules(address(), owners, this.#style)
    else entry.rules.source ??= sourceRules(address(), owners, this.#style)
    return entry.rules[kind]!
  }
}

function mayHangOnBridge({ endpoint: { attachment } }: Owner): boolean {
  return attachment?.kind === 'bridge' || attachment?.kind === 'unknown'
}
