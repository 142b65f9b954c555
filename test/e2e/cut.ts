// Runs alone: what is cut must be silent within a second, and other files would keep both cores busy.
import type { LabPod } from '../../src/lab/pod.ts'
import { moment } from '../../src/lab/probe.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import type { Flows, Way } from './support/flows.ts'
import { openFlows, serve } from './support/flows.ts'
import { openScene } from './support/scene.ts'
import { MASQUERADED, serviceAddress, serviceRules } from './support/services.ts'

const PORTS = [7000, 7001, 7002, 7003]
/** Port, and whether the way leads through a service address; 7002 and 7003 are masqueraded. */
const WAYS = [
  { name: 'straight', port: 7000, service: false },
  { name: 'through a service', port: 7001, service: true },
  { name: 'masqueraded', port: 7002, service: false },
  { name: 'masqueraded through a service', port: 7003, service: true },
]

await playScenarios({ flags: ['--bridges', 'cbr0'] }, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const n1 = lab.node('n1')
  const { pods } = await openScene(stage, variant, {
    client: 'n1 routed',
    near: 'n1 routed',
    far: 'n2 routed',
    neighbour: 'n1 bridge',
    server: 'n1 bridge',
    calm: 'n1 routed',
    calmer: 'n2 routed',
  })
  const { client, near, far, neighbour, server, calm, calmer } = pods
  const servers = [near, far, server]
  await serviceRules(n1, servers, variant.families)
  await serve(probe, [...servers, calmer], PORTS)

  /** Servers take what has the tag and the label; a change of either side forbids it. */
  const inbound = (['tcp', 'udp'] as const).map(protocol => ({
    action: 'allow',
    protocol,
    src_tag: 'client',
    src_selector: "role == 'client'",
    dst_ports: ['7000:7003'],
  }))
  /** To another node, a masqueraded client is its node. */
  const masquerading = (['tcp', 'udp'] as const).flatMap(protocol =>
    [`${n1.address4}/32`, `${n1.address6}/128`].map(net => ({
      action: 'allow',
      protocol,
      src_net: net,
      dst_ports: [MASQUERADED],
    })),
  )
  const world = (change: {
    tags?: readonly string[]
    role?: string
    server?: readonly object[]
    client?: readonly object[]
    gone?: readonly LabPod[]
    tiers?: WorldWords['tiers']
  }): WorldWords => ({
    endpoints: [
      ...[client, neighbour].map(pod => ({
        pod,
        profiles: ['client'],
        labels: { role: change.role ?? 'client' },
      })),
      ...servers.map(pod => ({ pod, profiles: ['server'], labels: { role: 'server' } })),
      ...[calm, calmer].map(pod => ({ pod, profiles: ['calm'] })),
    ].filter(({ pod }) => !change.gone?.includes(pod)),
    profiles: {
      client: {
        tags: change.tags ?? ['client'],
        ...(change.client ? { outbound: change.client as never } : {}),
      },
      server: { inbound: (change.server ?? [...inbound, ...masquerading]) as never },
      calm: { tags: ['calm'], inbound: [{ action: 'allow', src_tag: 'calm' }] },
    },
    ...(change.tiers ? { tiers: change.tiers } : {}),
  })

  const ways = (list: readonly (readonly [LabPod, LabPod])[], kinds = WAYS): Way[] =>
    variant.families.flatMap(family =>
      list.flatMap(([from, to]) =>
        kinds.map(({ name, port, service }) => ({
          name: `${from.name} to ${to.name} ${name} IPv${family}`,
          client: from,
          server: to,
          address: service
            ? serviceAddress(servers, to, family)
            : (family === 4 ? to.address4 : to.address6)!,
          port,
        })),
      ),
    )
  const pairs = [
    [client, near],
    [client, far],
    [neighbour, server],
  ] as const

  const denying = {
    first: { policies: { deny: { selector: "role == 'server'", inbound: [{ action: 'deny' }] } } },
  }

  await stage.show(world({}))
  const calmFlows: Flows = await openFlows(probe, ways([[calm, calmer]], WAYS.slice(0, 1)), ['both'])
  /** `identity`: what a masqueraded client has not got on another node, so those flows stay allowed. */
  const causes: { readonly cause: string; readonly world: WorldWords; readonly identity?: true }[] = [
    { cause: "the servers' rules go", world: world({ server: [] }) },
    { cause: "the clients' rules deny it", world: world({ client: [{ action: 'deny' }] }) },
    { cause: 'a policy denies it before the profiles', world: world({ tiers: denying }) },
    { cause: 'the clients lose the tag', world: world({ tags: [] }), identity: true },
    { cause: 'the clients lose the label', world: world({ role: 'other' }), identity: true },
    { cause: 'the servers are deleted', world: world({ gone: servers }) },
    { cause: 'the clients are deleted', world: world({ gone: [client, neighbour] }) },
  ]
  for (const { cause, world: forbidding, identity } of causes)
    await t.test(cause, async t => {
      const kept = (way: Way) => identity && way.server === far && way.name.includes('masqueraded')
      const flows = await openFlows(
        probe,
        ways(pairs).filter(way => !kept(way)),
      )
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
  await calmFlows.unharmed(t, 'what stayed allowed all the while has lost nothing')
})
