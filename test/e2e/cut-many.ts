// Runs alone: what is cut must be silent within a second, and other files would keep both cores busy.
import { moment } from '../../src/lab/probe.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { openFlows, serve, straight } from './support/flows.ts'
import { openScene } from './support/scene.ts'

const PORTS = Array.from({ length: 40 }, (_, index) => 7100 + index)
const KEPT = PORTS.filter(port => port % 2 === 0)

/**
 * One client has many connections to one server, and a change forbids every second of them: no wide deletion will do,
 * and one by one they take longer than a second on a busy node.
 */
await playScenarios({ nodes: ['n1'] }, async (t, stage, variant) => {
  const { probe } = stage.lab
  const { client, server } = (await openScene(stage, variant, { client: 'n1 routed', server: 'n1 routed' }))
    .pods
  await serve(probe, [server], PORTS)
  const world = (ports: readonly (number | string)[]): WorldWords => ({
    endpoints: [
      { pod: client, profiles: ['client'] },
      { pod: server, profiles: ['server'] },
    ],
    profiles: {
      client: {},
      server: {
        inbound: ['tcp', 'udp'].map(protocol => ({ action: 'allow', protocol, dst_ports: ports })),
      },
    },
  })
  await stage.show(world(['7100:7139']))
  const ways = (ports: readonly number[]) =>
    ports.flatMap(port =>
      straight([[client, server]], variant.families, port).map(way => ({
        ...way,
        name: `${way.name} ${port}`,
      })),
    )
  const kept = await openFlows(probe, ways(KEPT), ['both'], false)
  const cut = await openFlows(probe, ways(PORTS.filter(port => port % 2 === 1)), ['both'], false)
  await cut.flowing(t, 'all flow before')
  const changed = moment()
  await stage.show(world(KEPT))
  await cut.silentWithinASecond(t, 'every second one is silent', changed)
  await kept.unharmed(t, 'the others have lost nothing')
  await cut.stop()
  await kept.stop()
})
