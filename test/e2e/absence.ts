// Runs alone: what is forbidden must be silent within a second, and other files would keep both cores busy.
import type { LabPod } from '../../src/lab/pod.ts'
import { moment } from '../../src/lab/probe.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { openFlows, serve, straight } from './support/flows.ts'
import { openScene } from './support/scene.ts'
import { serviceAddress, serviceRules } from './support/services.ts'

/** 7001 is forbidden while no agent runs; 7000 stays open, for whom it concerns. */
const PORTS = [7000, 7001]

/** No agent runs on either node while the store changes. The rules stand; the agents make up for it when they start. */
await playScenarios({}, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const { pods } = await openScene(stage, variant, {
    near: 'n1 routed',
    far: 'n2 routed',
    lost: 'n1 routed',
    client: 'n1 routed',
    gone: 'n1 routed',
    stranger: 'n1 routed',
    calm: 'n1 routed',
    calmer: 'n2 routed',
  })
  const { near, far, lost, client, gone, stranger, calm, calmer } = pods
  const servers = [near, far, lost]
  const { families } = variant
  await serve(probe, [...servers, calmer], PORTS)
  await serviceRules(lab.node('n1'), servers, families)

  const world = (changed: boolean): WorldWords => ({
    endpoints: [
      ...[client, calm].map(pod => ({ pod, profiles: ['caller'] })),
      { pod: stranger, profiles: [changed ? 'other' : 'caller'] },
      ...(changed ? [near, far] : servers).map(pod => ({ pod, profiles: ['server'] })),
      ...(changed ? [] : [{ pod: gone, profiles: ['caller'] }]),
      { pod: calmer, profiles: ['server'] },
    ],
    profiles: {
      caller: { tags: ['caller'] },
      other: {},
      server: {
        inbound: ['tcp', 'udp'].map(protocol => ({
          action: 'allow',
          protocol,
          src_tag: 'caller',
          dst_ports: changed ? [7000] : ['7000:7001'],
        })),
      },
    },
  })
  const from = (who: LabPod, list: readonly LabPod[]) => list.map(to => [who, to] as const)
  const throughService = [near, far].flatMap(server =>
    straight([[client, server]], families, 7001).map(way => ({
      ...way,
      name: `${way.name} through a service`,
      address: serviceAddress(servers, server, way.address.includes(':') ? 6 : 4),
    })),
  )

  await stage.show(world(false))
  const forbidden = await openFlows(probe, [
    ...straight(from(client, [near, far]), families, 7001),
    ...throughService,
    ...straight(from(client, [lost]), families, 7000),
    ...straight([...from(gone, [near, far]), ...from(stranger, [near, far])], families, 7000),
  ])
  const allowed = await openFlows(probe, straight([[calm, calmer]], families, 7000), ['both'])
  await forbidden.flowing(t, 'all flow before')

  const [first, second] = [stage.agents.get('n1')!, stage.agents.get('n2')!]
  await Promise.all([first.kill(), second.stop()])
  await stage.show(world(true))
  await forbidden.flowing(t, 'without an agent nothing changes', ({ protocol }) => protocol === 'udp')
  for (const { name } of lab.nodes) stage.startAgent(name)
  await stage.enforced()
  await forbidden.silentWithinASecond(t, 'a second after the agents are back nothing of it passes', moment())
  await allowed.unharmed(t, 'what is still allowed has lost nothing')
  await forbidden.stop()
})
