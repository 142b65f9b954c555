import type { Judge } from '../kernel/cut.ts'
import { type JudgeOptions, permits } from '../policy/verdict.ts'
import type { PolicyView } from '../policy/view.ts'

export interface ConnectionJudgeOptions {
  readonly view: PolicyView
  /** The settings that hold now. */
  readonly settings: () => Pick<JudgeOptions, 'nodeToWorkload' | 'workloadToNode'>
  /** Addresses of this node, canonical. */
  readonly nodeAddresses: () => ReadonlySet<string>
}

/** Says of tracked connections what policy, as it is when asked, says of their first packet. */
export function connectionJudge({ view, settings, nodeAddresses }: ConnectionJudgeOptions): Judge {
  // Asked for once, and only when there is anything to judge.
  let node: ReadonlySet<string> | undefined
  return flow => {
    const { source, destination } = flow
    if (view.localByAddress(source).length === 0 && view.localByAddress(destination).length === 0)
      return 'not ours'
    node ??= nodeAddresses()
    const path = node.has(source) ? 'from-node' : node.has(destination) ? 'to-node' : 'forward'
    return permits(view, { ...flow, path }, settings()) ? 'allow' : 'deny'
  }
}
