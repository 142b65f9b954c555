import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { systemProcesses } from '../../src/kernel/process.ts'
import { openLabEtcd } from '../../src/lab/lab-etcd.ts'
import type { KeyChange } from '../../src/source/event.ts'
import type { Store, StoreWrite } from '../../src/source/store.ts'
import { READY_KEY, ROOT } from '../../src/source/v1-tree.ts'
import { cuttingProxy } from '../source/cutting-proxy.ts'
import { playScenarios } from '../stage.ts'
import { kernelState, openTwin } from './support/kernel-state.ts'
import { edited, openPost } from './support/post.ts'

const STOPPED_MS = 60_000
/** So soon does an agent without its store call itself unready here. */
const GRACE = ['--source-grace', '5s']
const CHANGES = 20_000
/** The first connections carry so many bytes of the catch-up's six million. */
const CUTS = 3
const CARRIED = 900_000

/** Faults of the store, side by side: each node has a store of its own. */
const NODES = ['stopped', 'frozen', 'compacted', 'wiped', 'cut', 'twin']

await playScenarios({ nodes: NODES, agents: false }, async (t, stage, { families }) => {
  const { lab } = stage
  const processes = systemProcesses()
  const twin = openTwin(stage)
  const storeOf = async (node: string) => {
    const etcd = await openLabEtcd(processes, lab.storeAddress4, 3000 + 10 * NODES.indexOf(node))
    lab.onClose(() => etcd.close())
    return etcd
  }
  const together: Promise<unknown>[] = []
  const fault = (title: string, node: string, play: (t: Test) => Promise<void>) => {
    together.push(t.test(title, { buffered: true }, play))
    return node
  }
  t.jobs = NODES.length

  fault('stopped for a minute', 'stopped', async t => {
    const etcd = await storeOf('stopped')
    const post = await openPost(stage, 'stopped', { families, etcd, flags: GRACE })
    const began = performance.now()
    await etcd.stop()
    const noticed = await since(post.untilStatus('the loss is told', ({ source }) => !source.connected))
    await post.untilStatus('the agent calls itself unready', ({ health }) => !health.ready.healthy)
    await post.agent.kill()
    post.start()
    const waiting = await post.untilStatus(
      'the new agent tells what it waits for',
      ({ sync }) => !sync.inSync,
    )
    t.match(waiting.sync.waitingFor, /no complete list/)
    await pause(STOPPED_MS - (performance.now() - began))
    await etcd.start()
    const back = await since(post.untilStatus('in sync again', ({ sync }) => sync.inSync))
    await post.show(edited('stopped', 1))
    await post.untilStatus('ready again', ({ health }) => health.ready.healthy)
    t.comment(`noticed after ${noticed}, in sync ${back} after it was back`)
    await post.unharmed(t, 'etcd stopped', twin)
  })

  fault('frozen', 'frozen', async t => {
    const etcd = await storeOf('frozen')
    const post = await openPost(stage, 'frozen', { families, etcd, flags: GRACE })
    etcd.signal('SIGSTOP')
    const noticed = await since(post.untilStatus('the loss is told', ({ source }) => !source.connected))
    await post.untilStatus('the agent calls itself unready', ({ health }) => !health.ready.healthy)
    etcd.signal('SIGCONT')
    const back = await since(post.show(edited('frozen', 1)))
    t.comment(`noticed after ${noticed}, a change enforced ${back} after it thawed`)
    await post.unharmed(t, 'etcd frozen', twin)
  })

  fault('compacted past us', 'compacted', async t => {
    const etcd = await storeOf('compacted')
    const post = await openPost(stage, 'compacted', { families, etcd })
    const seen = post.written
    await post.node.cutFromStore(true)
    const noticed = await since(post.untilStatus('the loss is told', ({ source }) => !source.connected))
    for (let number = 1; number <= 20; number++) await post.tell(edited('compacted', number))
    await processes.run('etcdctl', ['--endpoints', etcd.endpoint, 'compact', String(post.written)], {
      env: { ETCDCTL_API: '3' },
    })
    await t.rejects(etcd.store.count(ROOT, seen), /compacted/, 'what the agent has not seen is gone')
    await post.node.cutFromStore(false)
    const back = await since(post.enforced())
    t.comment(`noticed after ${noticed}, enforced ${back} after it could be reached`)
    await post.unharmed(t, 'etcd compacted', twin)
  })

  fault('wiped and refilled', 'wiped', async t => {
    const etcd = await storeOf('wiped')
    const post = await openPost(stage, 'wiped', { families, etcd })
    const before = await kernelState(post.node)
    await etcd.stop()
    etcd.wipe()
    await etcd.start()
    post.forget()
    const emptied = await since(
      post.untilStatus('Ready is missed', ({ sync }) => /Ready is missing/.test(sync.waitingFor ?? '')),
    )
    // Half of a refill would open the server to everybody; the agent has seen it when it has seen what comes after it.
    await post.tell({ ready: null, profiles: { 'wiped-server': { inbound: [{ action: 'allow' }] } } })
    await post.commit([{ key: READY_KEY, value: 'soon' }])
    const status = await post.untilStatus('the refill is seen', ({ sync }) =>
      /"soon"/.test(sync.waitingFor ?? ''),
    )
    t.notOk(status.sync.inSync)
    t.same(await kernelState(post.node), before, 'the last good rules stand')
    await post.tell({ ready: 'soon', ...edited('wiped', 1) })
    await post.commit([{ key: READY_KEY, value: 'true' }])
    t.comment(`missed Ready after ${emptied}, enforced ${await since(post.enforced())} after it was there`)
    await post.unharmed(t, 'etcd wiped', twin)
  })

  fault(`the connection cut while ${CHANGES} changes are caught up with`, 'cut', async t => {
    const etcd = await storeOf('cut')
    const proxy = await cuttingProxy(t, Number(new URL(etcd.endpoint).port), lab.storeAddress4)
    const endpoint = `http://${lab.storeAddress4}:${proxy.port}`
    const post = await openPost(stage, 'cut', { families, etcd, endpoint })
    proxy.refuse()
    await post.untilStatus('the loss is told', ({ source }) => !source.connected)
    for (const phase of crowd()) await writeTogether(etcd.store, phase)
    await post.tell(edited('cut', 1))
    let connections = 0
    proxy.accept(() => (++connections <= CUTS ? CARRIED : Number.POSITIVE_INFINITY))
    const ms = await post.enforced()
    t.ok(connections > CUTS, `${connections} connections`)
    t.comment(`${CHANGES} changes enforced in ${ms.toFixed(0)} ms over ${connections} connections`)
    await post.unharmed(t, 'cut in catch-up', twin)
  })

  await Promise.all(together)
})

async function since(work: Promise<unknown>): Promise<string> {
  const began = performance.now()
  await work
  return `${((performance.now() - began) / 1000).toFixed(1)} s`
}

/** The friend's tag gets 12 000 further bearers, loses 4 000 of them, and 4 000 get other addresses. */
function crowd(): KeyChange[][] {
  const put = (from: number, count: number, place: number) =>
    Array.from({ length: count }, (_, n) => from + n).map(n => ({
      key: `${ROOT}host/elsewhere/workload/lab/crowd${n}/endpoint/eth0`,
      value: JSON.stringify({
        state: 'active',
        name: `cali${n}`,
        profile_ids: ['cut-friend'],
        ipv4_nets: [`10.${place}.${n >> 8}.${n & 255}/32`],
        ipv6_nets: [`fd${place}::${n.toString(16)}/128`],
      }),
    }))
  const gone = put(0, 4000, 80).map(({ key }) => ({ key, value: null }))
  return [put(0, 12_000, 80), gone, put(4000, 4000, 81)]
}

/** Two changes a transaction: etcd sends a thousand revisions in one message, which is then a tenth of the whole. */
async function writeTogether(store: Store, changes: readonly KeyChange[]): Promise<void> {
  const writes: StoreWrite[] = []
  for (let from = 0; from < changes.length; from += 2) {
    const batch = changes.slice(from, from + 2)
    const puts = batch.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }]))
    writes.push({ puts, deletes: batch.flatMap(({ key, value }) => (value === null ? [key] : [])) })
  }
  for (let from = 0; from < writes.length; from += 100)
    await Promise.all(writes.slice(from, from + 100).map(write => store.commit(write)))
}
