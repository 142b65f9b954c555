import { moment } from '../../src/lab/probe.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import { READY_KEY } from '../../src/source/v1-tree.ts'
import { playScenarios } from '../stage.ts'
import { openScene } from './support/scene.ts'

const ASKED = '80 u53 ping'

/** From the first start on a bare node, with the store away, to the loss of the Ready key. */
await playScenarios({ agents: false, flags: ['--bridges', 'cbr0'] }, async (t, stage, variant) => {
  const { lab } = stage
  const names = lab.nodes.map(({ name }) => name)
  const scene = await openScene(stage, variant, {
    web: 'n1 routed',
    near: 'n1 routed',
    bridged: 'n1 bridge',
    neighbour: 'n1 bridge',
    far: 'n2 routed',
  })
  const { web, near, bridged, neighbour, far } = scene.pods
  const world = (friend: 'near' | 'far', ready: string | null = 'true'): WorldWords => ({
    endpoints: [
      { pod: web, profiles: ['server'] },
      { pod: bridged, profiles: ['server'] },
      { pod: neighbour, profiles: [friend === 'near' ? 'friend' : 'other'] },
      { pod: near, profiles: [friend === 'near' ? 'friend' : 'other'] },
      { pod: far, profiles: [friend === 'far' ? 'friend' : 'other'] },
    ],
    profiles: {
      server: { inbound: [{ src_tag: 'friend' }] },
      friend: { tags: ['friend'] },
      other: {},
    },
    ready,
  })
  const table = (local: string, remote: string) => `
              web        bridged
    near      ${local}   ${local}
    neighbour ${local}   ${local}
    far       ${remote}  ${remote}
    external  X          X`
  const [nearOnly, farOnly] = [table('.', 'X'), table('X', '.')]
  // A node may send to its workloads, yet not even their answers come in.
  const closed = `
              web  near  bridged  neighbour  far  external  n1  n2
    web       -    X     X        X          X    X         X   X
    near      X    -     X        X          X    X         X   X
    bridged   X    X     -        X          X    X         X   X
    neighbour X    X     X        -          X    X         X   X
    far       X    X     X        X          -    X         X   X
    external  X    X     X        X          X    -         .   .
    n1        X    X     X        X          X    .         -   .
    n2        X    X     X        X          X    .         .   -`
  // SCTP waits for no answer: nothing even arrives.
  const gate = async (t: Parameters<typeof scene.reaches>[0], title: string) => {
    await scene.reaches(t, title, ASKED, closed)
    const rows = ['web', 'neighbour', 'far', 'external'].map(
      from => `${from} ${from === 'web' ? '-' : 'X'} X X`,
    )
    await scene.reaches(t, `${title}: one way`, 's5000', ['web near bridged', ...rows].join('\n'))
  }

  const start = async () => {
    const starting = names.map(name => {
      const agent = stage.startAgent(name)
      const before = agent.log().length
      return agent.waitUntil(async () => agent.log().slice(before).includes('agent: started'))
    })
    await Promise.all(starting)
  }
  const waiting = async (what: RegExp) => {
    for (const name of names)
      await stage.agents
        .get(name)!
        .waitUntil(async () => what.test((await stage.status(name).catch(() => null))?.sync.waitingFor ?? ''))
  }

  await t.test('before the first sync the gate is closed', async t => {
    const options = { protocol: 'tcp', port: 7000, rate: 50 } as const
    for (const pod of [web, bridged]) await lab.probe.listen(pod, options)
    const pairs = [
      [near, web],
      [neighbour, bridged],
      [far, web],
    ] as const
    const flows = await Promise.all(
      pairs.map(([client, server]) => lab.probe.flow(client, { ...options, address: server.address4! })),
    )
    await stage.etcd.stop()
    await start()
    const gated = moment()
    await gate(t, 'the store is away')
    for (const flow of flows) {
      const { up, down } = await flow.read(gated)
      t.equal(up.received + down.received, 0, 'nothing passes on what was open before')
      await flow.stop()
    }
    await stage.etcd.start()
    await stage.show(world('near', null), false)
    await waiting(/Ready is missing/)
    await gate(t, 'the store is there, and not ready')
    await stage.write([{ key: READY_KEY, value: 'false' }], false)
    await waiting(/Ready is "false"/)
    await gate(t, 'nor when Ready is false')
    await stage.show(world('near'))
    // The gate held the neighbours' answers back too, and the kernel asks again only after a second.
    for (const place of [...lab.nodes, ...lab.pods]) await place.run(['ip', '-6', 'neigh', 'flush', 'all'])
    await scene.reaches(t, 'in sync', ASKED, nearOnly)
  })

  await t.test('what was enforced stands while Ready is away', async t => {
    for (const ready of [null, 'false']) {
      await stage.show(world('near', ready), false)
      await waiting(ready === null ? /Ready is missing/ : /Ready is "false"/)
      await stage.show(world('far', ready), false)
      await scene.reaches(t, `Ready is ${ready ?? 'missing'}: changes wait`, ASKED, nearOnly)
      await stage.show(world('far'))
      await scene.reaches(t, 'Ready is back: they are followed', ASKED, farOnly)
      await stage.show(world('near'))
    }
    await stage.show({ endpoints: [], ready: null }, false)
    await waiting(/Ready is missing/)
    await scene.reaches(t, 'an empty store tears nothing down', ASKED, nearOnly)
  })

  await t.test('an agent that starts anew leaves what stands until it is in sync', async t => {
    await Promise.all(names.map(name => stage.agents.get(name)!.stop()))
    await start()
    await waiting(/Ready is missing/)
    await scene.reaches(t, 'Ready is missing', ASKED, nearOnly)
    await Promise.all(names.map(name => stage.agents.get(name)!.stop()))
    await stage.etcd.stop()
    await start()
    await scene.reaches(t, 'the store is away', ASKED, nearOnly)
    await stage.etcd.start()
    await stage.show(world('far'))
    await scene.reaches(t, 'in sync', ASKED, farOnly)
  })
})
