import type { RuleObject, WorldWords } from '../../src/lab/world.ts'
import { endpointKey } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { restartAgents } from './support/restart.ts'
import { openScene } from './support/scene.ts'

/** A server for each way in which a rule uses a set: by tag and by label. */
const SERVERS: Readonly<Record<string, readonly RuleObject[]>> = {
  tag: [{ src_tag: 'friend' }],
  'not-tag': [{ '!src_tag': 'friend' }],
  'deny-tag': [{ action: 'deny', src_tag: 'friend' }, {}],
  'deny-not-tag': [{ action: 'deny', '!src_tag': 'friend' }, {}],
  label: [{ src_selector: "team == 'a'" }],
  'not-label': [{ '!src_selector': "team == 'a'" }],
  'deny-label': [{ action: 'deny', src_selector: "team == 'a'" }, {}],
  'deny-not-label': [{ action: 'deny', '!src_selector': "team == 'a'" }, {}],
  plain: [{}],
}

/** What near (friend, team a), far (friend, team b by its profile) and other (neither) reach of the servers, in order. */
interface Reach {
  readonly near: string
  readonly far: string
  readonly other: string
}
const GOOD: Reach = {
  near: '. X X .  . X X .  .',
  far: '. X X .  X . . X  .',
  other: 'X . . X  X . . X  .',
}
/** The tag's set may lack far: only the positive match of an allow uses it, and what a deny might mean is denied. */
const TAG_IN_DOUBT: Reach = {
  near: '. X X X  . X X .  .',
  far: 'X X X X  X . . X  .',
  other: 'X X X X  X . . X  .',
}
const LABEL_IN_DOUBT: Reach = {
  near: '. X X .  . X X X  .',
  far: '. X X .  X X X X  .',
  other: 'X . . X  X X X X  .',
}
const NOTHING = 'X X X X  X X X X  X'
const BOTH_IN_DOUBT: Reach = { near: '. X X X  . X X X  .', far: NOTHING, other: 'X X X X  X X X X  .' }

const profileKey = (name: string, part: string) => `/calico/v1/policy/profile/${name}/${part}`

await playScenarios({}, async (t, stage, variant) => {
  const scene = await openScene<string>(stage, variant, {
    near: 'n1 routed',
    far: 'n2 routed',
    other: 'n2 routed',
    ...Object.fromEntries(Object.keys(SERVERS).map(name => [name, 'n1 routed'] as const)),
  })
  const { pods } = scene
  const world: WorldWords = {
    endpoints: [
      { pod: pods.near!, profiles: ['near'], labels: { team: 'a' } },
      { pod: pods.far!, profiles: ['far'] },
      { pod: pods.other!, profiles: ['other'] },
      ...Object.keys(SERVERS).map(name => ({ pod: pods[name]!, profiles: [name] })),
    ],
    profiles: {
      near: { tags: ['friend'], inbound: [{}] },
      far: { tags: ['friend'], labels: { team: 'b' }, inbound: [{}] },
      other: { inbound: [{}] },
      ...Object.fromEntries(Object.entries(SERVERS).map(([name, inbound]) => [name, { inbound }])),
    },
  }
  const farKey = endpointKey(pods.far!)
  const farWith = (change: object) =>
    JSON.stringify({ state: 'active', name: pods.far!.interface, profile_ids: ['far'], ...change })

  const BROKEN: readonly { title: string; raw: Readonly<Record<string, string>>; closed: Reach }[] = [
    {
      title: 'an endpoint of which profiles and labels can be read',
      raw: { [farKey]: farWith({ ipv4_nets: [`${pods.far!.address4}/24`] }) },
      closed: { ...TAG_IN_DOUBT, far: NOTHING },
    },
    {
      title: 'an endpoint that cannot be read at all',
      raw: { [farKey]: '{"state":' },
      closed: BOTH_IN_DOUBT,
    },
    {
      title: 'tags of a profile',
      raw: { [profileKey('far', 'tags')]: '["friend", "no tag!"]' },
      closed: TAG_IN_DOUBT,
    },
    {
      title: 'labels of a profile',
      raw: { [profileKey('far', 'labels')]: '{"team": 1}' },
      closed: { ...LABEL_IN_DOUBT, far: NOTHING },
    },
    {
      title: 'rules of a profile',
      raw: {
        [profileKey('plain', 'rules')]:
          '{"inbound_rules":[{"action":"allow","port":80}],"outbound_rules":[]}',
      },
      closed: { near: '. X X .  . X X .  X', far: '. X X .  X . . X  X', other: 'X . . X  X . . X  X' },
    },
  ]
  const table = ({ near, far, other }: Reach) =>
    `${Object.keys(SERVERS).join(' ')}\nnear ${near}\nfar ${far}\nother ${other}`

  for (const { title, raw, closed } of BROKEN)
    await t.test(title, async t => {
      await stage.show(world)
      await stage.show({ ...world, raw })
      await scene.reaches(t, 'the last good version stands', '80', table(GOOD))
      // Gone for a moment: no good version is known any more.
      await stage.write(Object.keys(raw).map(key => ({ key, value: null })))
      await stage.write(Object.entries(raw).map(([key, value]) => ({ key, value })))
      await scene.reaches(t, 'without one nothing opens', '80', table(closed))
      const [{ rejections }] = [await stage.status('n1')]
      t.same(
        rejections.map(({ key }) => key),
        Object.keys(raw),
        'the status names the key',
      )
    })

  await t.test('an agent that starts anew has no last good version', async t => {
    const raw = { ...BROKEN[0]!.raw, ...BROKEN[4]!.raw }
    await stage.show(world)
    await stage.show({ ...world, raw })
    await scene.reaches(t, 'before', '80', table(GOOD))
    await restartAgents(stage)
    const { near, other } = TAG_IN_DOUBT
    await scene.reaches(
      t,
      'afterwards',
      '80',
      table({ near: `${near.slice(0, -1)}X`, far: NOTHING, other: `${other.slice(0, -1)}X` }),
    )
    await scene.reaches(
      t,
      'what is closed sends nothing and gets nothing',
      '80',
      'near far other\nplain X X X\nnear - X .',
    )
    await stage.show(world)
    await scene.reaches(t, 'corrected', '80', table(GOOD))
    await scene.reaches(t, 'corrected, the other way', '80', 'near far other\nplain . . .\nnear - . .')
  })
})
