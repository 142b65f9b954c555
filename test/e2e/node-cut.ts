// Runs alone: what is cut must be silent within a second, and other files would keep both cores busy.
import { moment } from '../../src/lab/probe.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import { ROOT } from '../../src/source/v1-tree.ts'
import { playScenarios } from '../stage.ts'
import { openFlows, serve, straight, type Way } from './support/flows.ts'
import { openScene } from './support/scene.ts'
import { serviceAddress, serviceRules } from './support/services.ts'

const PORT = 7000

/** Open connections between a node and its own pods, straight and through a service address, on either setting. */
await playScenarios({ agents: false }, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const [n1, _n2] = [lab.node('n1'), lab.node('n2')]
  const { pods } = await openScene(stage, variant, {
    pod: 'n1 routed',
    bridged: 'n1 bridge',
    calm: 'n1 routed',
  })
  const { pod, bridged, calm } = pods
  const { families } = variant
  const behind = [pod, bridged, n1]
  await serviceRules(n1, behind, families)
  await serve(probe, [pod, bridged], [PORT])
  // Datagrams are to be answered from the address that was asked.
  for (const address of [n1.address4, n1.address6])
    for (const protocol of ['tcp', 'udp'] as const) await probe.listen(n1, { protocol, port: PORT, address })

  const toNode: WorldWords['raw'] = { [`${ROOT}config/DefaultEndpointToHostAction`]: 'DROP' }
  const world = (change: { inbound?: [] | null; outbound?: []; raw?: WorldWords['raw'] }): WorldWords => ({
    endpoints: [
      ...[pod, bridged].map(each => ({ pod: each, profiles: ['web'] })),
      { pod: calm, profiles: ['calm'] },
    ],
    profiles: {
      web: {
        inbound: change.inbound ?? [
          { action: 'allow', dst_ports: [PORT], protocol: 'tcp' },
          { action: 'allow', dst_ports: [PORT], protocol: 'udp' },
        ],
        ...(change.outbound ? { outbound: change.outbound } : {}),
      },
      calm: {},
    },
    ...(change.raw ? { raw: change.raw } : {}),
  })
  const both = (ways: readonly Way[]) => [
    ...ways,
    ...ways.map(way => {
      const server = behind.find(({ namespace }) => namespace === way.server.namespace)!
      const address = serviceAddress(behind, server, way.address.includes(':') ? 6 : 4)
      return { ...way, name: `${way.name} through a service`, address }
    }),
  ]
  stage.startAgent('n2')
  const start = async (setting: string) => {
    await Promise.all([...stage.agents.values()].map(agent => agent.stop()))
    for (const { name } of lab.nodes)
      stage.startAgent(name, ['--bridges', 'cbr0', '--node-to-workload', setting])
    await stage.show(world({}))
  }

  const toPods = [
    [n1, pod],
    [n1, bridged],
  ] as const
  const fromPods = [
    [pod, n1],
    [bridged, n1],
  ] as const
  const cases = [
    {
      setting: 'allow',
      title: "the pods' outbound rules go",
      pairs: fromPods,
      forbidding: world({ outbound: [] }),
    },
    {
      setting: 'allow',
      title: 'the store forbids all traffic to nodes',
      pairs: fromPods,
      forbidding: world({ raw: toNode }),
    },
    {
      setting: 'policy',
      title: "the pods' outbound rules go",
      pairs: fromPods,
      forbidding: world({ outbound: [] }),
    },
    {
      setting: 'policy',
      title: "the pods' inbound rules go",
      pairs: toPods,
      forbidding: world({ inbound: [] }),
    },
  ]
  let setting = ''
  for (const { title, pairs, forbidding, ...each } of cases)
    await t.test(`node to workload: ${each.setting}; ${title}`, async t => {
      if (setting !== each.setting) await start(each.setting)
      setting = each.setting
      const flows = await openFlows(probe, both(straight(pairs, families, PORT)))
      t.teardown(() => flows.stop())
      await flows.flowing(t, 'all flow before')
      const changed = moment()
      await stage.show(forbidding)
      await flows.silentWithinASecond(t, 'no packet passes in either direction', changed)
      await stage.show(world({}))
      await flows.flowing(t, 'allowed again, datagrams flow again', ({ protocol, direction }) => {
        return protocol === 'udp' && direction === 'both'
      })
      await flows.connect(t, 'and a new connection comes about')
    })

  await t.test('node to workload: allow; what the node opened goes on', async t => {
    await start('allow')
    const flows = await openFlows(probe, both(straight(toPods, families, PORT)), ['both'])
    await stage.show(world({ inbound: [] }))
    await stage.show(world({ inbound: [], outbound: [], raw: toNode }))
    await flows.flowing(t, 'whatever the pods say')
    await flows.unharmed(t, 'and nothing of it is lost')
    await flows.stop()
  })
})
