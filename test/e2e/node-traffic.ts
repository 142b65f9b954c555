import type { WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { openScene, type Through } from './support/scene.ts'
import { serviceAddress, serviceRules } from './support/services.ts'

/** A lease asked for again, of the server itself. */
const DHCP = [
  [4, 'u67<68'],
  [6, 'u547<546'],
] as const

/** Who takes what: `closed` and `shut` nothing, `mute` and `silent` send nothing, `fond` and `keen` take what their node sends. */
await playScenarios({ agents: false }, async (t, stage, variant) => {
  const { lab } = stage
  const n1 = lab.node('n1')
  const scene = await openScene(stage, variant, {
    closed: 'n1 routed',
    mute: 'n1 routed',
    fond: 'n1 routed',
    shut: 'n1 bridge',
    silent: 'n1 bridge',
    keen: 'n1 bridge',
    far: 'n2 routed',
  })
  const { closed, mute, fond, shut, silent, keen, far } = scene.pods
  const nets = [n1.address4, n1.address6, n1.gateway4, n1.gateway6]
  const world = (change: {
    fond?: readonly object[]
    closed?: readonly object[]
    raw?: Record<string, string>
  }) =>
    ({
      endpoints: [
        ...[closed, shut, far].map(pod => ({ pod, profiles: ['closed'] })),
        ...[mute, silent].map(pod => ({ pod, profiles: ['mute'] })),
        ...[fond, keen].map(pod => ({ pod, profiles: ['fond'] })),
      ],
      profiles: {
        closed: { ...(change.closed ? { outbound: change.closed } : {}) },
        mute: { outbound: [] },
        fond: { inbound: change.fond ?? nets.map(src_net => ({ action: 'allow', src_net })) },
      },
      ...(change.raw ? { raw: change.raw } : {}),
    }) as WorldWords
  // A service address for each pod and for the node itself, as a proxy on this node would have it.
  const behind = [...Object.values(scene.pods), n1]
  await serviceRules(n1, behind, variant.families)
  const service: Through = (place, family) => serviceAddress(behind, place, family)

  stage.startAgent('n2')
  const start = async (...flags: string[]) => {
    await stage.agents.get('n1')?.stop()
    stage.startAgent('n1', ['--bridges', 'cbr0', ...flags])
    await stage.show(world({}))
  }
  const both = async (
    t: Parameters<typeof scene.reaches>[0],
    title: string,
    asked: string,
    table: string,
  ) => {
    await scene.reaches(t, title, asked, table)
    await scene.reaches(t, `${title}, through service addresses`, asked, table, variant.families, {
      through: service,
    })
  }

  await t.test('node to workload: policy; workload to node: drop', async t => {
    await start('--node-to-workload', 'policy', '--workload-to-node', 'drop')
    await both(
      t,
      'the node reaches what takes it',
      '80 u53',
      `
            closed  mute  fond  shut  silent  keen  far
      n1    X       X     .     X     X       .     X
      `,
    )
    await both(
      t,
      'no pod reaches its node, DNS included',
      '80 53 u53 u54 ping',
      `
              n1
      closed  X
      mute    X
      fond    X
      shut    X
      silent  X
      `,
    )
    for (const [family, word] of DHCP)
      if (variant.families.includes(family))
        await scene.reaches(t, 'nor its DHCP', word, 'n1\nclosed X\nmute X\nshut X\nsilent X', [family])
    await scene.reaches(t, 'another node is elsewhere', '80 u53', 'n2\nclosed .\nmute X\nshut .\nsilent X')
  })
  await t.test('node to workload: allow; workload to node: allow', async t => {
    await start()
    await both(
      t,
      "the node reaches its own pods whatever they say, and no other node's",
      '80 u53',
      `
            closed  mute  fond  shut  silent  keen  far
      n1    .       .     .     .     .       .     X
      `,
    )
    await both(
      t,
      'a pod reaches its node as its outbound rules have it, and always its DNS',
      '80 53 u53 u54',
      `
              n1
      closed  .
      mute    53,u53
      shut    .
      silent  53,u53
      `,
    )
    await scene.reaches(t, 'another node is elsewhere', '80 u53', 'n2\nclosed .\nmute X\nshut .\nsilent X')
    for (const [family, word] of DHCP)
      if (variant.families.includes(family))
        await scene.reaches(t, 'DHCP', word, 'n1\nclosed .\nmute .\nshut .\nsilent .', [family])
  })
})
