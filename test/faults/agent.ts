import { setTimeout as pause } from 'node:timers/promises'
import { playScenarios } from '../stage.ts'
import { until } from '../until.ts'
import { childrenOf, hasEnded } from './support/children.ts'
import { startChurn } from './support/churn.ts'
import { kernelState, openTwin } from './support/kernel-state.ts'
import { edited, openPost } from './support/post.ts'

const KILLS = 50
/** Every other agent is killed so soon that it may not have read the store yet, the others once they had. */
const BEGINNING_MS = 1000
const UNDER_CHURN_MS = 300
/** The long-lived ones; others come and go with what they were started for. */
const TOOLS = /restore --noflush|ipset -exist -$/

await playScenarios({ nodes: ['killed', 'late', 'twin'], agents: false }, async (t, stage, { families }) => {
  const twin = openTwin(stage)

  await t.test(`an agent that is killed ${KILLS} times under churn`, async t => {
    const post = await openPost(stage, 'killed', { families })
    const churn = startChurn(post)
    const found = { 'before it was in sync': 0, 'with changes under way': 0, 'at rest': 0 }
    for (let kill = 1; kill <= KILLS; kill++) {
      if (kill % 2 === 0) await post.untilStatus('in sync', ({ sync }) => sync.inSync)
      await pause(Math.random() * (kill % 2 === 0 ? UNDER_CHURN_MS : BEGINNING_MS))
      const status = await post.status()
      if (status?.sync.inSync !== true) found['before it was in sync']++
      else if (status.revision !== status.enforcedRevision) found['with changes under way']++
      else found['at rest']++
      await post.agent.kill()
      post.start()
    }
    const changes = await churn.stop()
    const ms = await post.enforced()
    t.comment(
      `killed ${JSON.stringify(found)}; ${changes} changes; enforced ${ms.toFixed(0)} ms after the last`,
    )
    await post.unharmed(t, 'killed under churn', twin)
    await post.traffic.stop()
  })

  const late = await openPost(stage, 'late', { families })
  const opening = {
    profiles: {
      'late-server': { inbound: [{ action: 'allow' }] },
    },
  }

  await t.test('what a dead agent has left with its tools never comes through', async t => {
    // Its tools stand still: what they are given waits, and would come after the successor's own changes.
    const tools = childrenOf(late.agent.pid).filter(({ command }) => TOOLS.test(command))
    t.equal(tools.length, 3, tools.map(({ command }) => command).join('; '))
    for (const { pid } of tools) process.kill(pid, 'SIGSTOP')
    await late.tell(opening)
    await late.untilStatus('the change has come', ({ revision }) => BigInt(revision ?? 0) >= late.written)
    await late.agent.kill()
    await late.tell()
    late.start()
    await late.enforced()
    for (const { pid } of tools) if (!hasEnded(pid)) process.kill(pid, 'SIGCONT')
    await until('the old tools have ended', () => tools.every(({ pid }) => hasEnded(pid)))
    await late.unharmed(t, "a dead agent's transaction", twin)
  })

  await t.test('tools that are killed under a living agent', async t => {
    const before = await kernelState(late.node)
    const tools = childrenOf(late.agent.pid)
    for (const { pid } of tools) process.kill(pid, 'SIGKILL')
    await late.show(edited('late', 1))
    await late.show()
    t.comment(`${tools.length} tools killed`)
    if (stage.backend === 'nft') {
      const monitor = () => childrenOf(late.agent.pid).some(({ command }) => /nft monitor/.test(command))
      await until('the monitor is back', monitor)
      await late.node.iptables(4, ['-F', 'podf-forward-to'])
      const repaired = async () => JSON.stringify(await kernelState(late.node)) === JSON.stringify(before)
      await until('the new monitor tells of foreign changes', repaired)
    }
    await late.unharmed(t, 'killed tools', twin)
  })
})
