import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { toolName } from '../../src/kernel/backend.ts'
import { moment } from '../../src/lab/probe.ts'
import { CLI } from '../../src/lab/stage.ts'
import type { WorldWords } from '../../src/lab/world.ts'
import { playScenarios } from '../stage.ts'
import { foreignText, ownText } from './support/foreign-text.ts'
import { openScene } from './support/scene.ts'

/** What somebody else has in FORWARD before podfence comes: a deny and an accept, on either side of where our jump will be. */
const FOREIGN = [
  '*filter',
  ':THEIRS - [0:0]',
  '-A FORWARD -p tcp -m tcp --dport 81 -j DROP',
  '-A FORWARD -m comment --comment "a chain of their own" -j THEIRS',
  '-A THEIRS -p udp -m udp --dport 54 -j DROP',
  '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-A INPUT -p tcp -m tcp --dport 81 -j DROP',
  '-A OUTPUT -p tcp -m tcp --dport 81 -j DROP',
  'COMMIT',
  '*mangle',
  '-A FORWARD -p udp -m udp --dport 55 -j DROP',
  'COMMIT',
  '*raw',
  '-A PREROUTING -p udp -m udp --dport 56 -j DROP',
  'COMMIT',
  '',
].join('\n')

/** The bridge is not podfence's here, so `loose` on it is nobody's workload. */
await playScenarios({ agents: false }, async (t, stage, variant) => {
  const { lab } = stage
  const n1 = lab.node('n1')
  const scene = await openScene(stage, variant, {
    web: 'n1 routed',
    client: 'n1 routed',
    stranger: 'n1 routed',
    loose: 'n1 bridge',
    far: 'n2 routed',
  })
  const { web, client, stranger, far } = scene.pods
  const world: WorldWords = {
    endpoints: [
      { pod: web, profiles: ['web'] },
      ...[client, far].map(pod => ({ pod, profiles: ['client'] })),
      { pod: stranger, profiles: ['stranger'] },
    ],
    profiles: {
      web: { inbound: [{ action: 'allow', src_tag: 'client' }] },
      client: { tags: ['client'] },
      stranger: {},
    },
  }
  for (const family of variant.families)
    await n1.run([toolName(variant.backend, family, 'restore'), '--noflush', '-w'], { input: FOREIGN })
  stage.startAgent('n2')
  const start = async (onAllow: string) => {
    await stage.agents.get('n1')?.stop()
    stage.startAgent('n1', ['--on-allow', onAllow])
    await stage.show(world)
  }
  const policy = async (target: string) => {
    for (const family of variant.families) await n1.iptables(family, ['-P', 'FORWARD', target])
  }

  const cases = [
    {
      policy: 'ACCEPT',
      onAllow: 'accept',
      title: 'what podfence allows is final in FORWARD, and other tables still have their say',
      table: `
                  web           loose
        client    80,81,u53,u54 80,81,u53,u54
        far       80,81,u53,u54 80,u53
        stranger  X             80,81,u53,u54
        external  X             80,u53
      `,
    },
    {
      policy: 'ACCEPT',
      onAllow: 'return',
      title: 'the rules after ours decide too',
      table: `
                  web     loose
        client    80,u53  80,u53
        far       80,u53  80,u53
        stranger  X       80,u53
        external  X       80,u53
      `,
    },
    {
      policy: 'DROP',
      onAllow: 'return',
      title: 'what we allow must be allowed after us as well',
      table: `
                  web  loose
        client    X    X
        far       X    X
        stranger  X    X
        external  X    X
      `,
    },
    {
      policy: 'DROP',
      onAllow: 'accept',
      title: "what we allow passes, and nobody else's traffic",
      table: `
                  web           loose
        client    80,81,u53,u54 80,81,u53,u54
        far       80,81,u53,u54 X
        stranger  X             80,81,u53,u54
        external  X             X
      `,
    },
  ]
  for (const each of cases)
    await t.test(`policy ${each.policy} of FORWARD, onAllow ${each.onAllow}`, async t => {
      await policy(each.policy)
      const before = await foreignText(n1)
      await start(each.onAllow)
      await scene.reaches(t, each.title, '80 81 u53 u54 u55 u56', each.table)
      t.equal(await foreignText(n1), before, 'nothing of theirs has changed')
    })

  await t.test('a foreign deny before our jump', async t => {
    await policy('ACCEPT')
    for (const family of variant.families)
      await n1.iptables(family, ['-I', 'FORWARD', '1', '-p', 'tcp', '--dport', '80', '-j', 'DROP'])
    const before = await foreignText(n1)
    await start('accept')
    await scene.reaches(t, 'comes after it again', '80', 'web loose\nclient . .\nstranger X .\nexternal X X')
    t.equal(await foreignText(n1), before, 'nothing of theirs has changed')
  })

  await t.test('a foreign accept that is put before our jump while the agent runs', async t => {
    const firsts = () =>
      Promise.all(
        variant.families.map(
          async family => /^-A .*/m.exec(await n1.iptables(family, ['-S', 'FORWARD']))?.[0],
        ),
      )
    const ours = variant.families.map(() => '-A FORWARD -j podf-FORWARD')
    for (const family of variant.families)
      await n1.iptables(family, ['-I', 'FORWARD', '1', '-p', 'tcp', '--dport', '80', '-j', 'ACCEPT'])
    const before = await foreignText(n1)
    const began = moment()
    // The refresh timer is minutes away.
    while (!isDeepStrictEqual(await firsts(), ours) && moment() - began < 30_000) await pause(50)
    t.same(await firsts(), ours, 'stands behind it again')
    await scene.reaches(t, 'and decides after it', '80', 'web loose\nclient . .\nstranger X .\nexternal X .')
    t.equal(await foreignText(n1), before, 'nothing of theirs has changed')
  })

  await t.test('podfence cleanup, without any store', async t => {
    await Promise.all([...stage.agents.values()].map(agent => agent.stop()))
    await stage.etcd.close()
    const before = await foreignText(n1)
    t.not((await ownText(n1)).length, 0, 'the rules of ours stand after the agent')
    await n1.run([process.execPath, CLI, 'cleanup', '--run-dir', n1.runDirectory])
    t.same(await ownText(n1), [], 'leaves nothing of ours')
    t.equal(await foreignText(n1), before, 'and everything of theirs')
    const again = await n1.run([process.execPath, CLI, 'cleanup', '--run-dir', n1.runDirectory])
    t.match(again.stdout, /nothing of podfence is here/)
  })
})
