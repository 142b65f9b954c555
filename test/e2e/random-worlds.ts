import * as fc from 'fast-check'
import type { LabPod } from '../../src/lab/pod.ts'
import { type WorldWords, worldEntries } from '../../src/lab/world.ts'
import { ModelTree } from '../../src/model/tree.ts'
import type { Family } from '../../src/model/values.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { Packet } from '../../src/policy/outcome.ts'
import { judge, type Place } from '../../src/policy/verdict.ts'
import { playScenarios } from '../stage.ts'
import { randomWorld } from './support/random-words.ts'
import { openScene } from './support/scene.ts'

/** PODFENCE_SEED plays the worlds of a run again, PODFENCE_WORLDS says how many. */
const SEED = Number(process.env.PODFENCE_SEED ?? Math.trunc(Math.random() * 2 ** 31))
const WORLDS = Number(process.env.PODFENCE_WORLDS ?? (process.env.PODFENCE_E2E === 'quick' ? 5 : 25))
const QUESTIONS: Readonly<
  Record<string, (family: Family) => Partial<Packet> & { readonly protocol: number }>
> = {
  80: () => ({ protocol: 6, sourcePort: 40_000, destinationPort: 80 }),
  443: () => ({ protocol: 6, sourcePort: 40_000, destinationPort: 443 }),
  u53: () => ({ protocol: 17, sourcePort: 40_000, destinationPort: 53 }),
  ping: family =>
    family === 4 ? { protocol: 1, icmpType: 8, icmpCode: 0 } : { protocol: 58, icmpType: 128, icmpCode: 0 },
}
const ASKED = Object.keys(QUESTIONS)

/** What the verdicts of the nodes involved say: egress where the packet is sent, ingress where it arrives. */
class Nodes {
  readonly #tree = new ModelTree()
  readonly #engines: ReadonlyMap<string, PolicyEngine>

  constructor(names: readonly string[]) {
    this.#engines = new Map(names.map(name => [name, new PolicyEngine(name)]))
  }

  show(world: WorldWords): void {
    for (const change of this.#tree.snapshot(worldEntries(world)))
      for (const engine of this.#engines.values()) engine.update(change)
  }

  allow(from: LabPod, to: LabPod, family: Family, question: string): boolean {
    const packet: Packet = {
      ...QUESTIONS[question]!(family),
      family,
      path: 'forward',
      source: (family === 4 ? from.address4 : from.address6)!,
      destination: (family === 4 ? to.address4 : to.address6)!,
    }
    const verdict = (pod: LabPod, places: { from: Place; to: Place }) => {
      const options = { nodeToWorkload: 'allow', workloadToNode: 'allow', ...places } as const
      return judge(this.#engines.get(pod.node.name)!, packet, options).allow
    }
    if (from.node === to.node) return verdict(from, { from: 'workload', to: 'workload' })
    return (
      verdict(from, { from: 'workload', to: 'elsewhere' }) &&
      verdict(to, { from: 'elsewhere', to: 'workload' })
    )
  }
}

await playScenarios({ flags: ['--bridges', 'cbr0'] }, async (t, stage, variant) => {
  t.comment(`PODFENCE_SEED=${SEED}`)
  const scene = await openScene(stage, variant, {
    a1: 'n1 routed',
    b1: 'n1 routed',
    c1: 'n1 bridge',
    d1: 'n1 bridge',
    a2: 'n2 routed',
    b2: 'n2 routed',
    c2: 'n2 bridge',
  })
  const pods = Object.values(scene.pods)
  const names = pods.map(({ name }) => name)
  const nodes = new Nodes(stage.lab.nodes.map(({ name }) => name))
  const seen = { allowed: 0, denied: 0 }

  for (const [at, world] of fc.sample(randomWorld(pods), { seed: SEED, numRuns: WORLDS }).entries()) {
    nodes.show(world)
    await stage.show(world)
    const results = variant.families.map(family => {
      const cell = (from: LabPod, to: LabPod) => {
        if (from === to) return '-'
        const open = ASKED.filter(question => nodes.allow(from, to, family, question))
        seen.allowed += open.length
        seen.denied += ASKED.length - open.length
        return open.join(',') || 'X'
      }
      const rows = pods.map(from => [from.name, ...pods.map(to => cell(from, to))].join(' '))
      const table = [names.join(' '), ...rows].join('\n')
      return scene.reaches(t, `world ${at} of seed ${SEED}, IPv${family}`, ASKED.join(' '), table, [family])
    })
    const correct = await Promise.all(results)
    if (correct.includes(false)) t.comment(JSON.stringify(Object.fromEntries(worldEntries(world)), null, 1))
  }
  t.ok(Math.min(seen.allowed, seen.denied) > 0, `both happen: ${JSON.stringify(seen)}`)
})
