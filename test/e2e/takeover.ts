// Runs alone: what is cut must be silent within a second, and other files would keep both cores busy.
import { setTimeout as pause } from 'node:timers/promises'
import { udpPacket } from '../../src/lab/packet.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import { moment, type Probe } from '../../src/lab/probe.ts'
import type { EndpointWords, ProfileWords } from '../../src/lab/world.ts'
import type { Family } from '../../src/model/values.ts'
import { playScenarios } from '../stage.ts'
import { type Flows, openFlows, serve, straight } from './support/flows.ts'
import { openScene, type Standing } from './support/scene.ts'

const PORT = 7000
/** Everybody may open connections to a server; `heir` takes none. */
const PROFILES: Record<string, ProfileWords> = {
  caller: { tags: ['caller'] },
  server: { inbound: [{ action: 'allow', src_tag: 'caller' }] },
  heir: { tags: ['caller'] },
}

/**
 * An endpoint's address goes to a new endpoint, of which the policy allows the same connections: what is open was
 * the former owner's, and none of it may reach the new one. The former one's pod lives on and goes on sending.
 */
await playScenarios({ flags: ['--bridges', 'cbr0'] }, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const { pods } = await openScene(stage, variant, {
    near: 'n1 routed',
    far: 'n2 routed',
    client: 'n1 routed',
    leaver: 'n1 routed',
    server: 'n1 routed',
    absent: 'n1 routed',
    calm: 'n1 routed',
    calmer: 'n2 routed',
    other: 'n2 routed',
  })
  const { near, far, client, leaver, server, absent, calm, calmer, other } = pods
  await serve(probe, [near, far, server, calmer], [PORT])
  const endpoints = new Map<LabPod, EndpointWords>()
  const place = (pod: LabPod, profile: string) => endpoints.set(pod, { pod, profiles: [profile] })
  const show = () => stage.show({ endpoints: [...endpoints.values()], profiles: PROFILES })
  for (const pod of [near, far, server, calmer]) place(pod, 'server')
  for (const pod of [client, leaver, absent, calm, other]) place(pod, 'caller')
  await show()
  const { families } = variant
  const calmFlows = await openFlows(probe, straight([[calm, calmer]], families, PORT), ['both'])

  /** A pod with the address of another one, which loses its route and its endpoint. */
  const takeOver = async (former: LabPod, standing: Standing): Promise<LabPod> => {
    const [node = '', kind] = standing.split(' ') as [string, LabPod['kind']]
    const { address4, address6 } = former
    const [heir] = await lab.addPods([
      { name: `${former.name}-heir`, node: lab.node(node), kind, address4, address6 },
    ])
    await serve(probe, [heir!], [PORT])
    await found(heir!, families)
    endpoints.delete(former)
    place(heir!, 'heir')
    return heir!
  }

  const cases = [
    {
      title: "a client's address on the same node",
      former: client,
      standing: 'n1 routed',
      with: [near, far],
    },
    { title: "a client's address on another node", former: leaver, standing: 'n2 routed', with: [near, far] },
    { title: "a server's address on the same node", former: server, standing: 'n1 routed', with: [other] },
  ] as const
  for (const { title, former, standing, with: others } of cases)
    await t.test(title, async t => {
      const pairs = others.map(
        other => (former === server ? [other, former] : [former, other]) as [LabPod, LabPod],
      )
      const flows = await openFlows(probe, straight(pairs, families, PORT))
      t.teardown(() => flows.stop())
      await flows.flowing(t, 'all flow before')
      const heir = await takeOver(former, standing)
      const captures = [
        await probe.capture(heir, { protocol: 6 }),
        await probe.capture(heir, { protocol: 17 }),
      ]
      const changed = moment()
      await show()
      if (former === server) await answerLate(probe, flows, heir, other)
      await flows.silentWithinASecond(t, 'nothing of it passes any more', changed)
      for (const capture of captures)
        t.equal((await capture.read(changed + 1000)).came, 0, 'nothing of it reaches the new owner')
      if (former === server) return
      const fresh = await openFlows(
        probe,
        straight(
          others.map(other => [heir, other]),
          families,
          PORT,
        ),
        ['both'],
      )
      await fresh.flowing(t, "the new owner's own connections to the same servers come about")
      await fresh.stop()
    })

  await t.test('while no agent runs', async t => {
    const flows = await openFlows(
      probe,
      straight(
        [
          [absent, near],
          [absent, far],
        ],
        families,
        PORT,
      ),
    )
    t.teardown(() => flows.stop())
    await flows.flowing(t, 'all flow before')
    await Promise.all([...stage.agents.values()].map(agent => agent.stop()))
    const heir = await takeOver(absent, 'n1 routed')
    const captures = [await probe.capture(heir, { protocol: 6 }), await probe.capture(heir, { protocol: 17 })]
    await show()
    for (const node of lab.nodes) stage.startAgent(node.name)
    await stage.enforced()
    const enforced = moment()
    await flows.silentWithinASecond(t, 'nothing of it passes any more', enforced)
    for (const capture of captures)
      t.equal((await capture.read(enforced + 1000)).came, 0, 'nothing of it reaches the new owner')
  })
  await calmFlows.unharmed(t, 'what nobody took over has lost nothing')
})

/**
 * Waits until its node has found the pod, in the families of the flows, which make it look. What has passed the rules
 * before waits for that up to some seconds, and would come when nothing may come any more.
 */
async function found(
  { node, interface: device, address4, address6 }: LabPod,
  families: readonly Family[],
): Promise<void> {
  const deadline = moment() + 10_000
  for (const family of families) {
    const address = family === 4 ? address4! : address6!
    const entry = ['ip', 'neigh', 'show', address, 'dev', device]
    while (!/ lladdr /.test((await node.run(entry)).stdout)) {
      if (moment() > deadline) throw new Error(`${node.name} does not find ${address}`)
      await pause(20)
    }
  }
}

/**
 * What a client sent before the agent was told is in the new owner's hands already, and its program answers it, as it is
 * free to send whatever it likes: that must not open the client's flow again.
 */
async function answerLate(probe: Probe, flows: Flows, heir: LabPod, client: LabPod): Promise<void> {
  for (const { protocol, way, flow } of flows.all) {
    if (protocol !== 'udp') continue
    const to = (way.address.includes(':') ? client.address6 : client.address4)!
    const ports = { sourcePort: way.port, destinationPort: flow.clientPort }
    const packet = udpPacket({ source: way.address, destination: to, ...ports }, Buffer.from('late'))
    await probe.inject(heir, { packet, to })
  }
}
