import { AgentClient } from '../../src/cli/agent-client.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import { playScenarios } from '../stage.ts'
import { serve } from './support/flows.ts'
import { openScene } from './support/scene.ts'

const BRIDGE_CALLS = ['iptables', 'ip6tables'].map(tool => `net.bridge.bridge-nf-call-${tool}`)

/**
 * Endpoints on a bridge that no rule of ours can see, for want of the setting or of br_netfilter. Nothing is allowed
 * by policy: what passes all the same, the status and explain own up to.
 */
await playScenarios({ agents: false, nodes: ['n1'] }, async (t, stage, variant) => {
  const { lab } = stage
  const { probe } = lab
  const n1 = lab.node('n1')
  const scene = await openScene(stage, variant, {
    left: 'n1 bridge',
    right: 'n1 bridge',
    routed: 'n1 routed',
  })
  const { left, right, routed } = scene.pods
  const pods = [left, right, routed]
  const world = { endpoints: pods.map(pod => ({ pod, profiles: ['none'] })), profiles: { none: {} } }
  await serve(probe, pods, [80])
  const explainer = new AgentClient(n1.runDirectory)

  /** Asks packets and explain about every pair and expects both to say the same: who reaches whom. */
  const agree = async (t: Parameters<typeof scene.reaches>[0], title: string) => {
    const reached: string[] = []
    const told: string[] = []
    const ask = async (from: LabPod, to: LabPod, family: 4 | 6) => {
      const [source, address] = family === 4 ? [from.address4!, to.address4!] : [from.address6!, to.address6!]
      const words = `${from.name} -> ${to.name} IPv${family}`
      const { outcome } = await probe.tcp(from, { address, port: 80 })
      if (outcome === 'open') reached.push(words)
      const question = { source, destination: address, protocol: 6, destinationPort: 80 }
      if ((await explainer.explain(question)).verdict.allow) told.push(words)
    }
    for (const family of variant.families)
      await Promise.all(pods.flatMap(from => pods.filter(to => to !== from).map(to => ask(from, to, family))))
    t.same(told.sort(), reached.sort(), title)
    return reached
  }
  const between = ['left -> right', 'right -> left'].flatMap(pair =>
    variant.families.map(family => `${pair} IPv${family}`),
  )
  const stateOf = async (pod: LabPod) =>
    (await stage.status('n1')).endpoints.find(({ id }) => id.includes(`/${pod.name}/`))

  await t.test('no bridge is set', async t => {
    stage.startAgent('n1')
    await stage.show(world)
    const reached = await agree(t, 'explain agrees with the packets')
    t.same(
      reached.filter(words => !words.includes('routed')),
      between,
      'nothing is between the pods of the bridge',
    )
    for (const pod of [left, right])
      t.match(await stateOf(pod), { state: 'failed', reason: /NOT ENFORCED: .*no bridge is set/ })
    t.match(await stateOf(routed), { state: 'enforced' })
    await stage.agents.get('n1')!.stop()
  })

  await t.test('br_netfilter is not there', async t => {
    await n1.run(['sysctl', '-w', ...BRIDGE_CALLS.map(name => `${name}=0`)])
    stage.startAgent('n1', ['--bridges', 'cbr0'])
    await stage.enforced()
    t.same(await agree(t, 'explain agrees with the packets'), between, 'only what stays on the bridge passes')
    for (const pod of [left, right])
      t.match(await stateOf(pod), { state: 'failed', reason: /between workloads of its bridge/ })
    await stage.agents.get('n1')!.stop()
  })

  await t.test('both are there', async t => {
    await n1.run(['sysctl', '-w', ...BRIDGE_CALLS.map(name => `${name}=1`)])
    stage.startAgent('n1', ['--bridges', 'cbr0'])
    await stage.enforced()
    t.same(await agree(t, 'explain agrees with the packets'), [], 'nothing passes')
    for (const pod of pods) t.match(await stateOf(pod), { state: 'enforced' })
  })
})
