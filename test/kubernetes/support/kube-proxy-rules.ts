import type { Test } from 'tap'
import type { LabNode } from '../../../src/lab/node.ts'
import type { Family } from '../../../src/model/values.ts'
import { countingRules } from '../../e2e/support/counters.ts'

/** All bits of the mark that podfence may use by default, and kube-proxy's for what it will masquerade. */
const OUR_MARKS = '-m mark ! --mark 0x0/0xff000000'
const MASQUERADE_MARK = '-m mark --mark 0x4000/0x4000'

/** Counts packets by the marks that they bear where podfence should have taken its own off. */
export interface MarkWatch {
  /** Fails when a packet has left, or come to a node, with a mark of ours, or none with kube-proxy's. */
  judge(t: Test): Promise<void>
}

export async function watchMarks(nodes: readonly LabNode[], families: readonly Family[]): Promise<MarkWatch> {
  const watched = await Promise.all(
    nodes.flatMap(node =>
      families.map(async family => {
        const marks = { ours: OUR_MARKS, theirs: MASQUERADE_MARK }
        const left = await countingRules(node, family, 'POSTROUTING', marks, 'mangle')
        const heard = await countingRules(node, family, 'INPUT', { ours: OUR_MARKS })
        return { name: `${node.name} IPv${family}`, left, heard }
      }),
    ),
  )
  return {
    async judge(t) {
      for (const { name, left, heard } of watched) {
        const counted = await left.read()
        t.equal(counted.ours, 0, `${name}: no packet leaves with a mark of ours`)
        t.ok(counted.theirs! > 0, `${name}: theirs are kept`)
        t.equal((await heard.read()).ours, 0, `${name}: nor does one come to the node with a mark of ours`)
      }
    },
  }
}

/** The chains of both in which podfence's jump is not the first, or kube-proxy has none, with their rules. */
export async function misplacedJumps(
  nodes: readonly LabNode[],
  families: readonly Family[],
): Promise<string[]> {
  const found = await Promise.all(
    nodes.flatMap(node =>
      families.flatMap(family =>
        ['INPUT', 'FORWARD', 'OUTPUT'].map(async chain => {
          const text = await node.iptables(family, ['-S', chain])
          const rules = text.split('\n').filter(line => line.startsWith('-A'))
          const theirs = rules.some(rule => rule.includes('-j KUBE-'))
          return rules[0] === `-A ${chain} -j podf-${chain}` && theirs
            ? []
            : [`${node.name} IPv${family}: ${rules.join('; ')}`]
        }),
      ),
    ),
  )
  return found.flat()
}
