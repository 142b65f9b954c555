import type { LabPod } from '../../src/lab/pod.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { nflogDuring } from './support/nflog.ts'
import { openScene } from './support/scene.ts'

const GROUP = 7
const DEFAULT_GROUP = 100

/** With the drop log on, what is dropped comes to NFLOG with the place where it was; with it off, nothing does. */
await playScenarios({ agents: false, nodes: ['n1'] }, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const n1 = lab.node('n1')
  const { pods } = await openScene(stage, variant, {
    web: 'n1 routed',
    client: 'n1 routed',
    unknown: 'n1 routed',
    tiered: 'n1 routed',
    denier: 'n1 routed',
    inactive: 'n1 routed',
  })
  const { web, client, tiered, denier, inactive, unknown } = pods
  const world: WorldWords = {
    endpoints: [
      { pod: web, profiles: ['web'] },
      { pod: client, profiles: ['client'] },
      { pod: tiered, profiles: ['web'], labels: { tier: 'yes' } },
      { pod: denier, profiles: ['denier'] },
      { pod: inactive, profiles: ['web'], state: 'inactive' },
    ],
    profiles: {
      web: {},
      client: {},
      denier: {
        inbound: [
          { action: 'deny', protocol: 'udp' },
          { action: 'log', log_prefix: 'asked' },
          { action: 'allow' },
        ],
      },
    },
    tiers: { first: { policies: { p: { selector: "tier == 'yes'" } } } },
  }
  const addresses = (pod: LabPod) =>
    variant.families.map(family => (family === 4 ? pod.address4 : pod.address6)!)
  const ask = async () => {
    for (const family of variant.families.keys())
      await Promise.all([
        ...[web, tiered, denier, inactive, unknown].flatMap(pod => {
          const target = { address: addresses(pod)[family]!, port: 80 }
          return [probe.udp(client, target), probe.udp(unknown, target)]
        }),
        probe.tcp(client, { address: addresses(denier)[family]!, port: 80 }),
      ])
  }
  const start = async (...flags: string[]) => {
    await stage.agents.get('n1')?.stop()
    stage.startAgent('n1', flags)
    await stage.show(world)
  }

  await t.test('on', async t => {
    await start('--drop-log', '--drop-log-group', String(GROUP))
    const heard = await nflogDuring(n1, GROUP, ask)
    t.same(
      [...new Set(heard)].sort(),
      [
        'podf:D:closed:to/lab/inactive/eth0',
        'podf:D:deny:0:in/profile/denier',
        'podf:D:end:to/lab/web/eth0',
        'podf:D:tier:first:to/lab/tiered/eth0',
        'podf:D:unknown-destination',
        'podf:D:unknown-source',
        'podf:L:asked',
      ],
      'each place where something was dropped, and the rule that logs',
    )
  })

  await t.test('a flood', async t => {
    await start('--drop-log', '--drop-log-group', String(GROUP), '--drop-log-per-second', '1')
    const heard = await nflogDuring(n1, GROUP, async () => {
      for (const address of addresses(web)) await probe.oneWay(client, { address, port: 80, count: 200 })
    })
    const most = 15 * variant.families.length
    t.ok(
      heard.length > 0 && heard.length <= most,
      `${heard.length} of ${200 * variant.families.length} are told`,
    )
  })

  await t.test('off', async t => {
    await start()
    t.same(
      [...new Set(await nflogDuring(n1, DEFAULT_GROUP, ask))],
      ['podf:L:asked'],
      'only a rule that logs is heard',
    )
  })
})
