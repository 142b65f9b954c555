import { setTimeout as pause } from 'node:timers/promises'
import { HOOKS } from '../../src/render/hooks.ts'
import type { Table } from '../../src/render/kernel-delta.ts'
import { playScenarios } from '../stage.ts'
import { openFlows, serve, straight } from './support/flows.ts'
import { ownText } from './support/foreign-text.ts'
import { openScene } from './support/scene.ts'

const TABLE = `
            web
  client    .
  far       .
  stranger  X
  external  X
`
const NOBODY = { 4: '192.0.2.1', 6: '2001:db8::1' } as const
const PATIENCE_MS = 20_000

/** The agent stops, starts again and is killed; the rules stand. Somebody moves our jump; it goes back. */
await playScenarios({ agents: false }, async (t, stage, variant) => {
  const { lab, backend } = stage
  const { probe } = lab
  const n1 = lab.node('n1')
  const scene = await openScene(stage, variant, {
    web: 'n1 routed',
    client: 'n1 routed',
    stranger: 'n1 routed',
    far: 'n2 routed',
  })
  const { web, client, stranger, far } = scene.pods
  const world = {
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
  // The monitor sees what others do to nft; on legacy only the timer does.
  const flags = backend === 'legacy' ? ['--refresh-interval', '2s'] : []
  const start = async (...more: string[]) => {
    for (const { name } of lab.nodes) if (!stage.agents.has(name)) stage.startAgent(name, [...flags, ...more])
    await stage.enforced()
  }
  const alone = { withoutAgents: true } as const
  for (const { name } of lab.nodes) stage.startAgent(name, flags)
  await stage.show(world)
  await serve(probe, [web], [7000])
  const flows = await openFlows(
    probe,
    straight(
      [
        [client, web],
        [far, web],
      ],
      variant.families,
      7000,
    ),
    ['both'],
  )
  await scene.reaches(t, 'the agents run', '80 u53', TABLE)

  for (const end of ['SIGTERM', 'SIGKILL'] as const)
    await t.test(end, async t => {
      const agent = stage.agents.get('n1')!
      const written = agent.log().length
      const { code, signal } = await (end === 'SIGTERM' ? agent.stop() : agent.kill())
      t.equal(end === 'SIGTERM' ? code : signal, end === 'SIGTERM' ? 0 : end, 'how it ends')
      await scene.reaches(t, 'the rules stand without it', '80 u53', TABLE, variant.families, alone)
      await start()
      const log = stage.agents.get('n1')!.log().slice(written)
      t.match(log, /enforced/, 'it is back')
      const rewritten = [...log.matchAll(/ applied .*chains=(\d+) rules=(\d+)/g)].map(found => found.slice(1))
      t.same(
        rewritten.flat().filter(count => count !== '0'),
        [],
        'and has rewritten no chain and no rule',
      )
      await scene.reaches(t, 'all is as before', '80 u53', TABLE)
    })
  await flows.unharmed(t, 'open connections lost nothing through all of this')
  await flows.stop()

  await t.test('a rule inserted above our jump', async t => {
    const first = async (table: Table, parent: string, family: 4 | 6) => {
      const lines = (await n1.iptables(family, ['-t', table, '-S', parent])).split('\n')
      return lines.find(line => line.startsWith('-A'))
    }
    const places = variant.families.flatMap(family => HOOKS.map(hook => ({ ...hook, family })))
    for (const { table, parent, family } of places)
      await n1.iptables(family, ['-t', table, '-I', parent, '1', '-s', NOBODY[family], '-j', 'ACCEPT'])
    const deadline = Date.now() + PATIENCE_MS
    for (const { table, parent, family, chain } of places)
      while ((await first(table, parent, family)) !== `-A ${parent} -j ${chain}` && Date.now() < deadline)
        await pause(50)
    for (const { table, parent, family, chain } of places) {
      t.equal(
        await first(table, parent, family),
        `-A ${parent} -j ${chain}`,
        `${table} ${parent} IPv${family}`,
      )
      const rules = await n1.iptables(family, ['-t', table, '-S', parent])
      t.match(rules, NOBODY[family], 'and theirs is still there')
    }
    await scene.reaches(t, 'all is as before', '80 u53', TABLE)
  })

  await t.test('cleanupOnExit', async t => {
    await stage.agents.get('n1')!.stop()
    await start('--cleanup-on-exit')
    await scene.reaches(t, 'while it runs', '80 u53', TABLE)
    await stage.agents.get('n1')!.stop()
    t.same(await ownText(n1), [], 'it leaves nothing of ours')
    const open = TABLE.replaceAll('X', '.')
    await scene.reaches(t, 'and the workloads are open', '80 u53', open, variant.families, alone)
  })
})
