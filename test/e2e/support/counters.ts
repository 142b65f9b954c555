import { toolName } from '../../../src/kernel/backend.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import type { Family } from '../../../src/model/values.ts'

/** Rules of somebody else's that only count. */
export interface Counters {
  /** Packets since the rules were made, by name. */
  read(): Promise<Readonly<Record<string, number>>>
}

/**
 * Appends a rule without a target for each name (letters, digits, `-`) to a chain: what they count is what podfence
 * has let go on to later rules.
 */
export async function countingRules(
  node: LabNode,
  family: Family,
  chain: string,
  matches: Readonly<Record<string, string>>,
  table = 'filter',
): Promise<Counters> {
  const lines = Object.entries(matches).map(
    ([name, match]) => `-A ${chain} ${match} -m comment --comment count:${name}`,
  )
  const input = [`*${table}`, ...lines, 'COMMIT', ''].join('\n')
  await node.run([toolName(node.backend, family, 'restore'), '--noflush', '-w'], { input })
  return {
    async read() {
      const save = await node.run([toolName(node.backend, family, 'save'), '-c', '-t', table])
      const counts: Record<string, number> = {}
      for (const [, packets, name] of save.stdout.matchAll(/^\[(\d+):\d+\] .*--comment "?count:([\w-]+)/gm))
        counts[name!] = Number(packets)
      return counts
    },
  }
}
