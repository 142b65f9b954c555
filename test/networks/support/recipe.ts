import type { Test } from 'tap'
import type { LabNode } from '../../../src/lab/node.ts'
import { CLI, type Stage } from '../../../src/lab/stage.ts'
import type { EndpointWords, WorldWords } from '../../../src/lab/world.ts'
import { foreignText } from '../../e2e/support/foreign-text.ts'
import { openScene, type Scene, type Standing } from '../../e2e/support/scene.ts'
import { playScenarios, type Variant } from '../../stage.ts'

/** Two pods on each of two nodes, one of each a friend: who reaches whom. */
export const ACROSS_NODES = `
            friend  web  friend2  web2  external
  friend    -       .    .        .     .
  web       X       -    X        X     .
  friend2   .       .    -        .     .
  web2      X       X    X        -     .
  external  X       X    X        X     -
  n1        .       .    X        X     -
`

/** A network that others run, and how podfence is told of it. */
export interface Recipe<Name extends string> {
  /** The settings that the README's recipe names. */
  readonly flags: readonly string[]
  readonly pods: Readonly<Record<Name, Standing>>
  /** What the network's own software does on a node before podfence comes. */
  readonly prepare: (node: LabNode, stage: Stage, variant: Variant) => Promise<void>
  /** What every check of a node says when the recipe was followed: level and subject, as `green br_netfilter`. */
  readonly checks: readonly string[]
}

/**
 * Plays a recipe: pods named `friend...` reach everybody, all others nobody. Before the agents start everything of the
 * network's own is written down; after the scenarios it must be as it was.
 */
export async function playRecipe<const Name extends string>(
  recipe: Recipe<Name>,
  scenarios: (t: Test, scene: Scene<Name>, stage: Stage) => Promise<void>,
): Promise<void> {
  const { flags, pods, prepare, checks } = recipe
  await playScenarios({ flags, agents: false }, async (t, stage, variant) => {
    const { nodes } = stage.lab
    for (const node of nodes) await prepare(node, stage, variant)
    const scene = await openScene(stage, variant, pods)
    const before = await Promise.all(nodes.map(ownState))
    for (const { name } of nodes) stage.startAgent(name)
    await stage.show(world(scene.pods))
    await scenarios(t, scene, stage)

    await t.test('podfence check says what the recipe promises', async t => {
      for (const node of nodes) {
        const found = await findings(node, [...flags, '--etcd-endpoints', stage.etcd.endpoint])
        for (const expected of checks) t.ok(found.includes(expected), `${node.name}: ${expected}`)
        t.same(
          found.filter(finding => finding.startsWith('red')),
          [],
        )
      }
    })
    await t.test("nothing of the network's own was changed", async t => {
      t.same(await Promise.all(nodes.map(ownState)), before)
    })
  })
}

/** Friends may reach everybody. */
function world(pods: Readonly<Record<string, EndpointWords['pod']>>): WorldWords {
  return {
    endpoints: Object.entries(pods).map(([name, pod]) => ({
      pod,
      profiles: [name.startsWith('friend') ? 'friend' : 'other'],
    })),
    profiles: {
      friend: { tags: ['friend'], inbound: [{ src_tag: 'friend' }] },
      other: { inbound: [{ src_tag: 'friend' }] },
    },
  }
}

/** Routes, links, sysctls and every rule that is not ours. */
async function ownState(node: LabNode): Promise<readonly string[]> {
  const say = async (...command: string[]) => (await node.run(command)).stdout
  const settings = await say(
    'sysctl',
    '--all',
    '--pattern',
    '^net\\.(bridge|ipv4\\.(conf|ip_forward)|ipv6\\.conf)',
  )
  return [
    await foreignText(node),
    await say('ip', '-4', 'route', 'show', 'table', 'all'),
    (await say('ip', '-6', 'route', 'show', 'table', 'all')).replaceAll(/ expires \d+sec/g, ''),
    await say('ip', '-oneline', 'address', 'show'),
    settings,
  ]
}

async function findings(node: LabNode, flags: readonly string[]): Promise<string[]> {
  const command = [process.execPath, CLI, 'check', '-o', 'json', '--run-dir', node.runDirectory]
  const { stdout } = await node.run([...command, '--backend', node.backend, ...flags], { allowFailure: true })
  const { findings } = JSON.parse(stdout) as { findings: { level: string; what: string }[] }
  return findings.map(({ level, what }) => `${level} ${what}`)
}
