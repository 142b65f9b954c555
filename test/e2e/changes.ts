import type { EndpointWords, ProfileWords, WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { openScene } from './support/scene.ts'

const SERVER: ProfileWords = { inbound: [{ src_tag: 'friend' }] }
const FRIENDS: Record<string, ProfileWords> = { friends: { tags: ['friend'] } }

const [closed, open, nearOnly, farOnly] = [
  tables('X', 'X'),
  tables('.', '.'),
  tables('.', 'X'),
  tables('X', '.'),
]
const [tcpOnly, udpOnly] = [tables('80', '80'), tables('u53', 'u53')]
const [webOnly, twinOnly] = [tables('. X', '. X'), tables('X .', 'X .')]

/** What the two callers reach: a cell for both servers, or one each. */
function tables(near: string, far: string): string {
  const cells = (row: string) => (row.includes(' ') ? row : `${row} ${row}`)
  return `web twin\nnear ${cells(near)}\nfar ${cells(far)}`
}

/** A server and a caller on each node; what changes is always something else, and both nodes follow. */
await playScenarios({}, async (t, stage, variant) => {
  const scene = await openScene(stage, variant, {
    web: 'n1 routed',
    twin: 'n2 routed',
    near: 'n1 routed',
    far: 'n2 routed',
  })
  const { pods } = scene
  const asked = '80 u53'

  type Endpoints = Partial<Record<keyof typeof pods, Partial<EndpointWords> | null>>
  const world = (endpoints: Endpoints, profiles: Record<string, ProfileWords | null>): WorldWords => {
    const servers = ['web']
    const base = { web: servers, twin: servers, near: ['caller'], far: ['caller'] }
    const named = { web: SERVER, caller: {}, ...profiles }
    return {
      endpoints: Object.entries(base).flatMap(([name, list]) => {
        const change = endpoints[name as keyof typeof pods]
        return change === null ? [] : [{ pod: pods[name as keyof typeof pods], profiles: list, ...change }]
      }),
      profiles: Object.fromEntries(
        Object.entries(named).flatMap(([name, words]) => (words === null ? [] : [[name, words] as const])),
      ),
    }
  }
  const play = async (
    t: Parameters<typeof scene.reaches>[0],
    title: string,
    table: string,
    state: WorldWords,
  ) => {
    await stage.show(state)
    await scene.reaches(t, title, asked, table)
  }

  await t.test('a tag', async t => {
    await play(t, 'nobody has it', closed, world({}, {}))
    await play(t, 'it appears on a profile', open, world({}, { caller: { tags: ['friend'] } }))
    await play(t, 'it changes', closed, world({}, { caller: { tags: ['stranger'] } }))
    const friends = { profiles: ['caller', 'friends'] }
    await play(t, 'one endpoint names a profile that has it', farOnly, world({ far: friends }, FRIENDS))
    await play(t, 'the other one does', nearOnly, world({ near: friends }, FRIENDS))
    await play(t, 'its profile goes', closed, world({ near: friends }, {}))
    await play(t, 'its profile is back', nearOnly, world({ near: friends }, FRIENDS))
  })

  await t.test('a profile', async t => {
    const rules = (inbound: ProfileWords['inbound']) => ({
      caller: { tags: ['friend'] },
      web: { inbound: inbound! },
    })
    await play(
      t,
      'its rules open a port',
      tcpOnly,
      world({}, rules([{ protocol: 'tcp', src_tag: 'friend', dst_ports: [80] }])),
    )
    await play(
      t,
      'they open another',
      udpOnly,
      world({}, rules([{ protocol: 'udp', src_tag: 'friend', dst_ports: [53] }])),
    )
    await play(t, 'it denies', closed, world({}, rules([{ action: 'deny', src_tag: 'friend' }, {}])))
    await play(t, 'it allows all', open, world({}, rules([{}])))
    await play(t, 'it goes: who names it is closed', closed, world({}, { ...rules([{}]), web: null }))
    await play(t, 'it is back', open, world({}, rules([{}])))
    await play(
      t,
      "the callers' own closes their outbound traffic",
      closed,
      world({}, { ...rules([{}]), caller: { outbound: [] } }),
    )
    await play(
      t,
      'an endpoint names another one',
      webOnly,
      world({ twin: { profiles: ['caller'] } }, rules([{}])),
    )
  })

  await t.test('a label', async t => {
    const select = (src_selector: string) => ({ web: { inbound: [{ src_selector }] } })
    const team = (value: string) => ({ labels: { team: value } })
    await play(t, 'nobody has it', closed, world({}, select("team == 'a'")))
    await play(
      t,
      'it appears on an endpoint',
      nearOnly,
      world({ near: team('a'), far: team('b') }, select("team == 'a'")),
    )
    await play(t, 'it changes', farOnly, world({ near: team('b'), far: team('a') }, select("team == 'a'")))
    await play(
      t,
      'the selector changes',
      nearOnly,
      world({ near: team('b'), far: team('a') }, select("team != 'a'")),
    )
    await play(t, 'a profile gives it', open, world({}, { ...select("team == 'a'"), caller: team('a') }))
    await play(
      t,
      "an endpoint's own wins",
      farOnly,
      world({ near: team('b') }, { ...select("team == 'a'"), caller: team('a') }),
    )
    await play(
      t,
      "the profile's changes",
      nearOnly,
      world({ near: team('a') }, { ...select("team == 'a'"), caller: team('b') }),
    )
    await play(t, 'all of them go', closed, world({}, select("team == 'a'")))
  })

  await t.test('an endpoint', async t => {
    const friends = { caller: { tags: ['friend'] } }
    await play(t, 'all are there', open, world({}, friends))
    await play(t, 'a server goes', twinOnly, world({ web: null }, friends))
    await play(t, 'it is back, inactive', twinOnly, world({ web: { state: 'inactive' } }, friends))
    await play(
      t,
      'a caller goes, the other becomes inactive',
      closed,
      world({ near: { state: 'inactive' }, far: null }, friends),
    )
    await play(t, 'both are back', open, world({}, friends))
  })

  await t.test('an endpoint moves to the other node with its addresses', async t => {
    const friends = { ...FRIENDS, caller: {} }
    const near = { profiles: ['friends'] }
    await play(t, 'before', nearOnly, world({ near }, friends))
    const { address4, address6 } = pods.near
    const { address4: web4, address6: web6 } = pods.web
    await stage.show(world({ near: null, web: null }, friends))
    await scene.replace('near', 'n2 routed', { address4, address6 })
    await scene.replace('web', 'n2 routed', { address4: web4, address6: web6 })
    await play(t, 'the caller and one server moved', nearOnly, world({ near }, friends))
    await play(t, 'and what changes afterwards is followed', farOnly, world({ far: near }, friends))
    const caller = { caller: { tags: ['friend'] } }
    await scene.replace('near', 'n1 routed', { address4, address6 })
    await play(t, 'the key moves after the pod did', open, world({}, caller))
  })

  await t.test('a new endpoint takes an address over', async t => {
    const profiles = {
      web: { ...SERVER, tags: ['staff'] },
      friends: { tags: ['friend'], inbound: [{ src_tag: 'boss' }] },
      caller: { tags: ['boss'] },
      guest: { inbound: [{ src_tag: 'staff' }] },
    }
    const { address4, address6 } = pods.near
    const heirs = (name: string, cells: string, staff: string) => `
              web  twin  ${name}
      ${name}   ${cells} ${cells} -
      far     X    X     ${staff === '.' ? 'X' : '.'}
      web     -    -     ${staff}
      twin    -    -     ${staff}`
    await play(
      t,
      'the old one',
      heirs('near', '.', 'X'),
      world({ near: { profiles: ['friends'] } }, profiles),
    )
    const old = { ...pods.near, name: 'old', interface: 'cali-old' }
    for (const standing of ['n1 routed', 'n2 routed'] as const) {
      const near = await scene.replace('near', standing, { name: 'heir', address4, address6 })
      const guest = world({ near: { profiles: ['guest'] } }, profiles)
      const both = {
        ...guest,
        endpoints: [...guest.endpoints, { pod: { ...old, node: near.node }, profiles: ['friends'] }],
      }
      await play(t, `the new one, on ${near.node.name}`, heirs('heir', 'X', '.'), guest)
      await play(
        t,
        'the old one is named as well: the address is in the sets of both',
        heirs('heir', '.', '.'),
        both,
      )
      await play(t, 'the old one goes', heirs('heir', 'X', '.'), guest)
    }
  })
})
