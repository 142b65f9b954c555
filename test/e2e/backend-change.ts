import { otherBackend } from '../../src/kernel/backend.ts'
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

/** The administrator changes the iptables backend and starts the agent again, without a reboot. */
await playScenarios({ agents: false }, async (t, stage, variant) => {
  const { lab, backend } = stage
  const other = otherBackend(backend)
  const n1 = lab.node('n1')
  const scene = await openScene(stage, variant, {
    web: 'n1 routed',
    client: 'n1 routed',
    stranger: 'n1 routed',
    far: 'n2 routed',
  })
  const { web, client, stranger, far } = scene.pods
  const endpoints = [
    { pod: web, profiles: ['web'] },
    ...[client, far].map(pod => ({ pod, profiles: ['client'] })),
    { pod: stranger, profiles: ['stranger'] },
  ]
  const profiles = {
    web: { inbound: [{ action: 'allow' as const, src_tag: 'client' }] },
    client: { tags: ['client'] },
    stranger: {},
  }
  for (const { name } of lab.nodes) stage.startAgent(name)
  await stage.show({ endpoints, profiles })
  await scene.reaches(t, 'before', '80 u53', TABLE)
  await serve(lab.probe, [web], [7000])
  const flows = await openFlows(lab.probe, straight([[client, web]], variant.families, 7000), ['both'])
  const owned = async (which: string) => (await ownText(n1)).filter(line => line.startsWith(`${which} `))

  await n1.iptables(4, ['-I', 'FORWARD', '-s', '192.0.2.1', '-j', 'ACCEPT'])
  await stage.agents.get('n1')!.stop()
  await stage.etcd.stop()
  const agent = stage.startAgent('n1', ['--backend', other])
  const warned = /iptables-(nft|legacy) holds rules of podfence from an earlier run/
  await agent.waitUntil(async () =>
    ((await stage.status('n1').catch(() => null))?.warnings ?? []).some(text => warned.test(text)),
  )
  await scene.reaches(t, 'what stands in the one before does until the sync', '80 u53', TABLE)
  t.not((await owned(backend)).length, 0, 'and nothing of it is gone')
  await stage.etcd.start()
  await stage.enforced()
  await agent.waitUntil(async () => (await owned(backend)).length === 0)
  t.not((await owned(other)).length, 0, 'the rules are in the other backend now')
  t.match(await n1.iptables(4, ['-S', 'FORWARD']), '192.0.2.1', 'what is not ours stands')
  t.same((await stage.status('n1')).warnings, [], 'the status has nothing to say of it any more')
  await scene.reaches(t, 'after', '80 u53', TABLE)
  await flows.unharmed(t, 'an open connection lost nothing')
  await flows.stop()

  const [fresh] = await lab.addPods([{ name: 'fresh', node: n1, kind: 'routed' }])
  await stage.show({ endpoints: [...endpoints, { pod: fresh!, profiles: ['client'] }], profiles })
  await scene.reaches(t, 'what came since is not cut off', '80 u53', 'web\nfresh .')
})
