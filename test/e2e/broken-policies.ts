import type { WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { restartAgents } from './support/restart.ts'
import { openScene } from './support/scene.ts'

const ASKED = '80 443 8080 8443'
const tcp = (port: number) => ({ protocol: 'tcp', dst_ports: [port] })
const both = (...rules: readonly object[]) => ({ inbound: rules.map(copy), outbound: rules.map(copy) })
const copy = (rule: object) => ({ ...rule })

/** What passes between the external host and each pod; the policies say the same of both directions. */
type Reach = Readonly<Record<'x' | 'y' | 'z', string>>
const GOOD: Reach = { x: '80,443,8080', y: '443,8080,8443', z: '.' }

const policyKey = (name: string) => `/calico/v1/policy/tier/main/policy/${name}`
const policyText = (change: object) =>
  JSON.stringify({ selector: 'has(app)', order: 2, inbound_rules: [{}], outbound_rules: [{}], ...change })

/** Of policy `second` and its tier. In each case every rule of it would allow everything, were it applied. */
const BROKEN: readonly { title: string; raw: Readonly<Record<string, string>>; closed: Reach }[] = [
  {
    title: 'a rule: it denies at its place what it picks',
    raw: { [policyKey('second')]: policyText({ inbound_rules: [{}, { '!src_ports': [80] }] }) },
    closed: { x: '80', y: '8443', z: '.' },
  },
  {
    title: 'a selector: it denies at its place everybody',
    raw: { [policyKey('second')]: policyText({ selector: "app === 'x'" }) },
    closed: { x: '80', y: '8443', z: 'X' },
  },
  {
    title: 'an order: it is the first of its tier',
    raw: { [policyKey('second')]: policyText({ order: 'soon', selector: "app != 'y' && has(app)" }) },
    closed: { x: 'X', y: '8080,8443', z: '.' },
  },
  {
    title: 'all of it: it is the first, for everybody',
    raw: { [policyKey('second')]: '{"selector": "has(app)", ' },
    closed: { x: 'X', y: '8443', z: 'X' },
  },
  {
    title: "a tier's metadata: it comes first, and its policies deny what they pick",
    raw: { '/calico/v1/policy/tier/main/metadata': '{"order": [5]}' },
    closed: { x: 'X', y: 'X', z: '.' },
  },
]

await playScenarios({}, async (t, stage, variant) => {
  const scene = await openScene(stage, variant, { x: 'n1 routed', y: 'n2 routed', z: 'n1 routed' })
  const { x, y, z } = scene.pods
  const world: WorldWords = {
    endpoints: [
      { pod: x, profiles: ['open'], labels: { app: 'x' } },
      { pod: y, profiles: ['open'], labels: { app: 'y' } },
      { pod: z, profiles: ['open'] },
    ],
    profiles: { open: { inbound: [{}] } },
    tiers: {
      early: {
        order: 1,
        policies: { only: { selector: "app == 'y'", ...both(tcp(8443), { action: 'next-tier' }) } },
      },
      main: {
        order: 5,
        policies: {
          first: { order: 1, selector: "app == 'x'", ...both(tcp(80)) },
          second: { order: 2, selector: 'has(app)', ...both({ action: 'deny', ...tcp(80) }, tcp(443)) },
          third: { order: 3, selector: 'has(app)', ...both(tcp(8080)) },
        },
      },
    },
  }
  const table = (cells: Reach) => `
              x           y           z           external
    external  ${cells.x}  ${cells.y}  ${cells.z}  -
    x         -           -           -           ${cells.x}
    y         -           -           -           ${cells.y}
    z         -           -           -           ${cells.z}`

  for (const { title, raw, closed } of BROKEN)
    await t.test(title, async t => {
      await stage.show(world)
      await stage.show({ ...world, raw })
      await scene.reaches(t, 'the last good version stands', ASKED, table(GOOD))
      await stage.write(Object.keys(raw).map(key => ({ key, value: null })))
      await stage.write(Object.entries(raw).map(([key, value]) => ({ key, value })))
      await scene.reaches(t, 'without one nothing opens', ASKED, table(closed))
    })

  await t.test('an agent that starts anew has no last good version', async t => {
    const { raw, closed } = BROKEN[1]!
    await stage.show(world)
    await stage.show({ ...world, raw })
    await restartAgents(stage)
    await scene.reaches(t, 'afterwards', ASKED, table(closed))
    await stage.show(world)
    await scene.reaches(t, 'corrected', ASKED, table(GOOD))
  })

  await t.test('a policy whose name is no name denies what it picks', async t => {
    const nameless = { [policyKey('new policy!')]: policyText({ selector: "app == 'x'", order: 0 }) }
    await stage.show({ ...world, raw: nameless })
    await scene.reaches(t, 'while it is there', ASKED, table({ ...GOOD, x: 'X' }))
    await stage.show(world)
    await scene.reaches(t, 'when it is gone', ASKED, table(GOOD))
  })
})
