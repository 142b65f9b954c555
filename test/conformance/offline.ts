import { KubernetesWorld } from '../../src/cli/kubernetes-world.ts'
import type { EngineName } from '../../src/cli/offline-node.ts'
import type { Case, Expectation } from './case.ts'
import { CaseWorld } from './case.ts'
import { type CaseResult, judged, type Observation } from './result.ts'

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
export function runOffline(given: Case, engine: EngineName): CaseResult {
  const objects = new CaseWorld(given)
  const world = new KubernetesWorld({ translation: TRANSLATION, render: RENDER })
  world.snapshot(objects.entries())
  const observe = (expected: Expectation): Observation => {
    const { allow, egress, ingress, trail } = world.verdict(expected, engine)
    return { allow, egress, ingress, trail: trail.map(({ at, what }) => `${at}: ${what}`) }
  }
  const results = [judged('start', given.expect, observe)]
  for (const { name, actions, expect } of given.steps ?? []) {
    world.change(objects.act(actions))
    results.push(judged(name, expect, observe))
  }
  const refused = world.problems().map(({ key, reason }) => `${key}: ${reason}`)
  return {
    name: given.name,
    judged: results.reduce((sum, { count }) => sum + count, 0),
    wrong: results.flatMap(({ wrong }) => wrong),
    refused,
  }
}
