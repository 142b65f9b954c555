import { addressBits, type Cidr } from '../model/cidr.ts'
import type { Family } from '../model/values.ts'

/** A node of the tree over a set of addresses. The root's net is null: it is reached without a match. */
export interface TreeNode {
  readonly net: Cidr | null
  /** Of a leaf, in order; empty for a branch. */
  readonly addresses: readonly bigint[]
  /** Of a branch, in order; empty for a leaf. */
  readonly branches: readonly TreeNode[]
}

/** A leaf that holds more is split. */
export const LEAF_SIZE = 16

/** A branch splits by so many bits: eight ways. */
const SPLIT_BITS = 3

/**
 * Below the root. nf_tables refuses rules more than sixteen jumps deep, and the way from FORWARD through the
 * tree to a rule list's end takes seven without it. Only addresses chosen to do harm reach this depth;
 * their last leaf is then longer than others.
 */
export const DEEPEST = 5

/**
 * The tree over `addresses` (sorted, without doubles): a function of them alone. A branch splits by the
 * bits after the longest prefix common to all it holds, and a node is named by its net; so an address more
 * changes its leaf only, and at most the branches that the change of a common prefix makes or takes.
 */
export function addressTree(addresses: readonly bigint[], family: Family): TreeNode {
  return grow(null, addresses, family, 0)
}

function grow(net: Cidr | null, addresses: readonly bigint[], family: Family, depth: number): TreeNode {
  if (addresses.length <= LEAF_SIZE || depth === DEEPEST) return { net, addresses, branches: [] }
  const bits = addressBits(family)
  const length = commonLength(addresses[0]!, addresses.at(-1)!, bits) + SPLIT_BITS
  const shift = BigInt(bits - length)
  const parts = new Map<bigint, bigint[]>()
  for (const address of addresses) {
    const base = (address >> shift) << shift
    const part = parts.get(base)
    if (part === undefined) parts.set(base, [address])
    else part.push(address)
  }
  const branches = [...parts].map(([base, part]) => grow({ family, base, length }, part, family, depth + 1))
  return { net, addresses: [], branches }
}

/** How many leading bits two addresses share. More than sixteen differ, so at least five bits are left. */
function commonLength(first: bigint, last: bigint, bits: number): number {
  const difference = first ^ last
  return difference === 0n ? bits : bits - difference.toString(2).length
}
