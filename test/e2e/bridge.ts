import type { EndpointWords, ProfileWords, WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { openScene } from './support/scene.ts'
import { tableOf } from './support/table.ts'

/** More than one bucket of the tree by address. */
const CROWD = Array.from({ length: 20 }, (_, at) => `crowd${at}`)
const ASKED = '80 u53 ping'

await playScenarios({ flags: ['--bridges', 'cbr0'] }, async (t, stage, variant) => {
  const scene = await openScene(stage, variant, {
    front: 'n1 bridge',
    back: 'n1 bridge',
    vague: 'n1 bridge',
    routed: 'n1 routed',
    away: 'n2 bridge',
    dim: 'n2 bridge',
    afar: 'n2 routed',
  })
  const { pods } = scene
  type Name = keyof typeof pods
  const FRIENDS: readonly Name[] = ['front', 'vague', 'routed', 'dim']

  /** Friends reach everybody. `vague` and `dim` name only their bridge. */
  const world = (
    changes: Partial<Record<Name, Partial<EndpointWords> | null>> = {},
    profiles: Record<string, ProfileWords> = {},
    tiers: WorldWords['tiers'] = {},
  ): WorldWords => ({
    endpoints: (Object.keys(pods) as Name[]).flatMap(name => {
      const change = changes[name]
      if (change === null) return []
      const bridgeOnly = name === 'vague' || name === 'dim'
      const profile = FRIENDS.includes(name) ? 'friend' : 'other'
      return [{ pod: pods[name], profiles: [profile], bridgeOnly, ...change }]
    }),
    profiles: {
      friend: { tags: ['friend'], inbound: [{ src_tag: 'friend' }] },
      other: { tags: ['other'], inbound: [{ src_tag: 'friend' }] },
      ...profiles,
    },
    tiers,
  })

  await t.test('on one bridge, between bridges, and with routed pods', async t => {
    await stage.show(world())
    await scene.reaches(
      t,
      'who has the tag reaches everybody',
      ASKED,
      `
                front  back  vague  routed  away  dim  afar  external
      front     -      .     .      .       .     .    .     .
      back      X      -     X      X       X     X    X     .
      vague     .      .     -      .       .     .    .     .
      routed    .      .     .      -       .     .    .     .
      away      X      X     X      X       -     X    X     .
      dim       .      .     .      .       .     -    .     .
      afar      X      X     X      X       X     X    -     .
      external  X      X     X      X       X     X    X     -
      n1        .      .     .      .       X     X    X     -
      `,
    )
    await stage.show(
      world(
        { back: { profiles: ['friend'] }, dim: { profiles: ['other'] } },
        {
          friend: {
            tags: ['friend'],
            inbound: [{ src_tag: 'friend' }],
            outbound: [{ action: 'deny', dst_tag: 'other' }, {}],
          },
        },
      ),
    )
    await scene.reaches(
      t,
      'tags change, and a deny of what friends send',
      ASKED,
      `
                front  back  vague  routed  away  dim  afar
      front     -      .     .      .       X     X    X
      back      .      -     .      .       X     X    X
      vague     .      .     -      .       X     X    X
      routed    .      .     .      -       X     X    X
      away      X      X     X      X       -     X    X
      dim       X      X     X      X       X     -    X
      `,
    )
  })

  await t.test('a policy picks pods of a bridge', async t => {
    const labels = (role: string) => ({ labels: { role } })
    const tiers = {
      only: {
        policies: {
          web: {
            selector: "role == 'web'",
            inbound: [{ protocol: 'tcp', dst_ports: [80], '!src_selector': "role == 'guest'" }],
            outbound: [{ protocol: 'udp', dst_selector: 'has(role)' }],
          },
        },
      },
    }
    await stage.show(
      world(
        { front: labels('web'), vague: labels('guest'), back: labels('web'), away: labels('guest') },
        {},
        tiers,
      ),
    )
    await scene.reaches(
      t,
      'what it allows and no more',
      ASKED,
      `
                front  back  vague  routed  away  dim  afar
      front     -      X     u53    X       u53   X    X
      back      X      -     X      X       X     X    X
      vague     X      X     -      .       .     .    .
      routed    80     80    .      -       .     .    .
      away      X      X     X      X       -     X    X
      dim       80     80    .      .       .     -    .
      afar      80     80    X      X       X     X    -
      `,
    )
  })

  await t.test('what is known of a port changes, and endpoints come and go', async t => {
    const play = async (title: string, state: WorldWords, cells: readonly [vague: string, front: string]) => {
      await stage.show(state)
      await scene.reaches(
        t,
        title,
        ASKED,
        `
                front        vague       back  away
        vague   ${cells[0]}  -           ${cells[0]}  ${cells[0]}
        front   -            ${cells[0]} ${cells[1]}  ${cells[1]}
        dim     ${cells[1]}  ${cells[0]} .            .`,
      )
    }
    await play('as they were', world(), ['.', '.'])
    await play('the port of one becomes known', world({ vague: { bridgeOnly: false } }), ['.', '.'])
    await play('of the other unknown', world({ front: { bridgeOnly: true } }), ['.', '.'])
    await play('all are known', world({ vague: { bridgeOnly: false }, dim: { bridgeOnly: false } }), [
      '.',
      '.',
    ])
    await play('one goes', world({ vague: null }), ['X', '.'])
    await play('one becomes inactive', world({ vague: { state: 'inactive' } }), ['X', '.'])
    await play('it is back', world(), ['.', '.'])
  })

  await t.test('a pod moves from a bridge to a veth of its own, and to the other node', async t => {
    const { address4, address6 } = pods.front
    // Nobody answers the bridge's pods when they ask the link for an address that was on it.
    const table = `
              front  back  routed  away  afar
      front   -      -     .       .     .
      back    -      -     X       X     X
      routed  .      .     -       .     .
      afar    X      X     X       X     -
      dim     .      .     .       .     .`
    for (const standing of ['n1 routed', 'n2 routed', 'n1 bridge'] as const) {
      await scene.replace('front', standing, { address4, address6 })
      await stage.show(world())
      await scene.reaches(t, standing, ASKED, table)
    }
  })

  await t.test('more pods than one bucket of the tree holds', async t => {
    const crowd = await openScene<string>(
      stage,
      variant,
      Object.fromEntries(CROWD.map(name => [name, 'n1 bridge'] as const)),
    )
    const odd = (name: string) => CROWD.indexOf(name) % 2 === 1
    const whole = world()
    await stage.show({
      ...whole,
      endpoints: [
        ...whole.endpoints,
        ...CROWD.map(name => ({ pod: crowd.pods[name]!, profiles: [odd(name) ? 'friend' : 'other'] })),
      ],
    })
    const peers = ['front', 'routed', 'dim', 'crowd7']
    const into = (name: string) => Object.fromEntries(peers.map(peer => [peer, peer === name ? '-' : '.']))
    await scene.reaches(
      t,
      'each is found as destination',
      '80',
      tableOf(Object.fromEntries(CROWD.map(name => [name, into(name)]))),
    )
    const cells = Object.fromEntries(CROWD.map(name => [name, odd(name) ? '.' : 'X']))
    await scene.reaches(t, 'and as source', '80', tableOf({ back: cells, away: cells, routed: cells }))
  })
})
