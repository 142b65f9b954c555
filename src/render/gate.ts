import { FAMILIES, type Family } from '../model/values.ts'
import { DROP, rule } from './action.ts'
import { type Chain, chainRules } from './chain.ts'
import { FORWARD_CHAIN, INPUT_CHAIN, OUTPUT_CHAIN, PREROUTING_CHAIN } from './hooks.ts'
import type { ChainChange, KernelDelta, Table } from './kernel-delta.ts'
import { inInterface, outInterface } from './match.ts'
import type { Style } from './style.ts'

/**
 * What stands before the first sync where the kernel holds nothing of ours: nothing comes from a workload
 * or passes to one, not even of established connections. The chains are those of the hooks, so that
 * the first full picture replaces the gate in one transaction.
 */
export function gateDelta(style: Style): KernelDelta {
  return { sets: [], chains: FAMILIES.flatMap(family => gateChains(family, style)).map(toChange) }
}

/**
 * Before the first sync no address is known to be a workload's, so OUTPUT can close by `-o` only. For a service
 * address that still names the old route: such a packet of the node comes through, but its answer does not come in. To
 * drop all that goes to service addresses would close more than it protects: the store itself may be behind one.
 */
function gateChains(family: Family, style: Style): Chain[] {
  const from = style.gates.map(name => rule([inInterface(name)], DROP))
  const to = style.gates.map(name => rule([outInterface(name)], DROP))
  const chain = (table: Table, name: string, body: readonly string[]): Chain => {
    return { family, table, name, rank: 'top', owner: `gate ${name}`, title: `gate/${name}`, body }
  }
  return [
    chain('raw', PREROUTING_CHAIN, []),
    chain('filter', INPUT_CHAIN, from),
    chain('filter', FORWARD_CHAIN, [...from, ...to]),
    chain('filter', OUTPUT_CHAIN, style.options.nodeToWorkload === 'allow' ? [] : to),
  ]
}

function toChange(chain: Chain): ChainChange {
  const { family, table, name, rank, owner } = chain
  return { family, table, name, rank, owner, rules: chainRules(chain) }
}
