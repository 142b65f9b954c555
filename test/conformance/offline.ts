import { KubernetesWorld } from '../../src/cli/kubernetes-world.ts'
import type { EngineName } from '../../src/cli/offline-node.ts'
import { CaseWorld, type Expectation } from './case.ts'
import { type Answer, type Depth, nobody } from './depth.ts'

/** How a node is taken to be that is not there. */
const RENDER = {
  interfacePrefixes: ['cali'],
  bridges: [],
  markMask: 0xff000000,
  onAllow: 'accept',
  nodeToWorkload: 'allow',
  workloadToNode: 'allow',
  dropLog: { enabled: false, group: 0, perSecond: 10 },
} as const
const TRANSLATION = {
  annotationPolicy: false,
  defaultPolicy: 'isolate',
  annotationCombine: 'narrow',
} as const

/** A case asked of the policy engine, or of the rules as the kernel's tools get them; its steps come as changes. */
export function offlineDepth(engine: EngineName): Depth {
  return {
    name: engine,
    async begin(given) {
      const objects = new CaseWorld(given)
      const world = new KubernetesWorld({ translation: TRANSLATION, render: RENDER })
      world.snapshot(objects.entries())
      const answer = (expected: Expectation): Answer => {
        const { from, to, family } = expected
        if (!world.has(from, family) || !world.has(to, family)) return nobody(expected)
        const { allow, egress, ingress, trail } = world.verdict(expected, engine)
        return { allow, egress, ingress, trail: async () => trail.map(({ at, what }) => `${at}: ${what}`) }
      }
      return {
        judge: async asked => asked.map(answer),
        act: async actions => world.change(objects.act(actions)),
        refused: () => world.problems().map(({ key, reason }) => `${key}: ${reason}`),
      }
    },
    close: async () => {},
  }
}
