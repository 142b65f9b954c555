import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { systemProcesses } from '../../src/kernel/process.ts'
import { ROOT } from '../../src/source/v1-tree.ts'
import { playScenarios } from '../stage.ts'
import { until } from '../until.ts'
import { kernelState, openTwin } from './support/kernel-state.ts'
import { edited, openPost, type Post } from './support/post.ts'
import { refusingTools } from './support/refusing-tools.ts'

const LOCKED_MS = 10_000
/** What the tools of one node refuse. */
const REFUSED_PORT = 6666
/** Further bearers of a tag, so many that a small set cannot take them all. */
const CROWD = 4
const SMALL = ['--max-set-size', '3']

const NODES = ['locked', 'full', 'narrow', 'refusing', 'twin']

await playScenarios({ nodes: NODES, agents: false }, async (t, stage, { families, backend }) => {
  const { lab } = stage
  const twin = openTwin(stage)
  const together: Promise<unknown>[] = []
  const fault = (title: string, play: (t: Test) => Promise<void>) =>
    together.push(t.test(title, { buffered: true }, play))
  t.jobs = NODES.length

  fault('the xtables lock held by another', async t => {
    const post = await openPost(stage, 'locked', { families })
    const lock = post.node.env.XTABLES_LOCKFILE!
    const holder = systemProcesses().start('flock', [lock, 'cat'])
    const began = performance.now()
    await until('the lock is held', async () => {
      const tried = await post.node.run(['flock', '-n', lock, 'true'], { allowFailure: true })
      return tried.code !== 0
    })
    if (backend === 'legacy') {
      await post.tell({ profiles: { 'locked-server': { inbound: [{ action: 'allow' }] } } })
      await until('the wait is told', () => /another program holds the xtables lock/.test(post.agent.log()))
      const { revision, enforcedRevision, health } = (await post.status())!
      t.not(revision, enforcedRevision, 'the change waits')
      t.ok(health.live.healthy, 'the agent is alive')
      // Killed while its tool waits; what the tool would have written is not meant any more.
      await post.agent.kill()
      await post.tell(edited('locked', 1))
      post.start()
      await pause(LOCKED_MS - (performance.now() - began))
    } else {
      // Nobody looks at that lock here: the change goes at once.
      await post.show(edited('locked', 1))
      t.comment(`enforced ${(performance.now() - began).toFixed(0)} ms after the lock was taken`)
    }
    holder.end()
    await holder.ended
    const ms = await post.enforced()
    if (backend === 'legacy') t.comment(`enforced ${ms.toFixed(0)} ms after the lock was free`)
    await post.unharmed(t, 'lock held', twin)
  })

  fault('a set of an allow at its limit', async t => {
    const post = await openPost(stage, 'full', { families, flags: SMALL })
    await post.commit(crowd(post, 'full-friend'))
    await post.enforced()
    const short = (await post.untilStatus('the shortage is told', status => status.short.length === 2)).short
    for (const { lacking, said } of short) t.match([lacking, said], [2, /full/])
    await post.commit(crowd(post, 'full-friend').map(({ key }) => ({ key, value: null })))
    await post.enforced()
    await post.untilStatus('nothing is short any more', status => status.short.length === 0)
    await post.unharmed(t, 'set at its limit', twin)
  })

  fault('a set of a deny at its limit', async t => {
    const post = await openPost(stage, 'narrow', { families, flags: SMALL })
    await post.commit(crowd(post, 'narrow-bad'))
    const deny = { action: 'deny', src_tag: 'narrow-bad' }
    await post.show({ profiles: { 'narrow-server': { inbound: [deny] } } })
    // The set is full already: what lacks the stranger in it must not let it in.
    await post.show({
      profiles: {
        'narrow-stranger': { tags: ['narrow-bad'] },
        'narrow-server': { inbound: [deny, { action: 'allow' }] },
      },
    })
    await post.untilStatus('the shortage is told', status => status.short.length === 2)
    await post.traffic.goesOn()
    await post.commit(crowd(post, 'narrow-bad').map(({ key }) => ({ key, value: null })))
    await post.enforced()
    await post.untilStatus('nothing is short any more', status => status.short.length === 0)
    await post.traffic.passes()
    await post.closed(t, 'deny set at its limit', twin)
  })

  fault('rules that the kernel refuses', async t => {
    const directory = `${lab.node('refusing').stateDirectory}/tools`
    const env = { PATH: refusingTools(directory, backend, `--dport ${REFUSED_PORT}`) }
    const post = await openPost(stage, 'refusing', { families, env })
    const refused = { action: 'deny', protocol: 'tcp', dst_ports: [REFUSED_PORT] }
    const friends = { action: 'allow', src_tag: 'refusing-friend' }
    await post.show({
      profiles: {
        'refusing-server': { inbound: [{ action: 'allow' }, refused] },
        'refusing-friend': {
          tags: ['refusing-friend'],
          // It uses the set that the last good list leans on, or that list would have to be closed with the set's end.
          inbound: [{ action: 'allow', protocol: 'udp', src_tag: 'refusing-friend', dst_ports: [777] }],
        },
      },
    })
    const told = await post.untilStatus('the refusal is told', status => status.refused.length === 2)
    t.match(told.refused, [{ owner: /refusing-server/, said: /RULE_APPEND failed/ }, {}])
    t.match(JSON.stringify(await kernelState(post.node)), /--dport 777/, 'all others come through')
    await post.unharmed(t, 'a changed list refused, so the last good one stands', null)
    // The posts share a store: the others' servers are none of its business.
    const selector = "post == 'refusing'"
    await post.show({ tiers: { refused: { policies: { p: { selector, inbound: [friends, refused] } } } } })
    await post.untilStatus('the refusal is told', ({ refused }) => refused.length === 2)
    await post.traffic.goesOn()
    await post.show()
    await post.untilStatus('nothing is refused', status => status.refused.length === 0)
    await post.traffic.passes()
    await post.closed(t, 'a new list refused, so it is closed', twin)
  })

  await Promise.all(together)
})

/** Endpoints elsewhere with a profile that bears a tag; the profile is theirs alone. */
function crowd({ node }: Post, tag: string) {
  const profile = `${node.name}-crowd`
  const endpoints = Array.from({ length: CROWD }, (_, n) => ({
    key: `${ROOT}host/elsewhere/workload/lab/${profile}${n}/endpoint/eth0`,
    value: JSON.stringify({
      state: 'active',
      name: `cali${n}`,
      profile_ids: [profile],
      ipv4_nets: [`10.82.0.${n + 1}/32`],
      ipv6_nets: [`fd82::${n + 1}/128`],
    }),
  }))
  return [{ key: `${ROOT}policy/profile/${profile}/tags`, value: JSON.stringify([tag]) }, ...endpoints]
}
