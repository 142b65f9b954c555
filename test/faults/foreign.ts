import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import type { LabPod } from '../../src/lab/pod.ts'
import { moment } from '../../src/lab/probe.ts'
import { playScenarios } from '../stage.ts'
import { until } from '../until.ts'
import { damagedAndRepaired, shell, spoilChains, type TableLines } from './support/damage.ts'
import { type KernelState, kernelState, openTwin } from './support/kernel-state.ts'
import { openPost, type Post } from './support/post.ts'
import { PORT } from './support/traffic.ts'

// Runs alone: it measures milliseconds until a repair.

const REFRESH = ['--refresh-interval', '2s']

/** B11. Only the monitor can be so quick: the refresh is minutes away. */
const MONITOR_MS = 200
/** The refresh, and the time that reading and writing take. */
const REFRESHED_MS = 2000 + 1000

interface ChainDamage {
  readonly title: string
  readonly opens: boolean
  readonly tables: TableLines
}

/** A stranger who may send but not arrive. */
const INBOUND: readonly ChainDamage[] = [
  { title: 'our jump deleted', opens: true, tables: { filter: ['-D FORWARD -j podf-FORWARD'] } },
  { title: 'our top chain flushed', opens: true, tables: { filter: ['-F podf-FORWARD'] } },
  { title: 'the chain below it flushed', opens: true, tables: { filter: ['-F podf-forward-from'] } },
  {
    title: 'an accept in a chain of ours',
    opens: true,
    tables: { filter: ['-I podf-forward-from -j ACCEPT'] },
  },
  {
    title: 'everything flushed and deleted',
    opens: true,
    tables: { filter: ['-F', '-X'], raw: ['-F', '-X'] },
  },
  { title: 'the dispatch chain flushed', opens: false, tables: { filter: ['-F podf-to'] } },
  { title: 'the endpoint chains flushed', opens: false, tables: { filter: ['-F podf-to-*'] } },
  { title: 'the rules flushed', opens: false, tables: { filter: ['-F podf-in-*', '-F podf-out-*'] } },
  {
    title: 'the source check cut off',
    opens: false,
    tables: { raw: ['-D PREROUTING -j podf-PREROUTING'] },
  },
  { title: 'a foreign accept before our jump', opens: true, tables: { filter: ['-I FORWARD -j ACCEPT'] } },
  {
    title: 'our jump moved behind it',
    opens: true,
    tables: { filter: ['-D FORWARD -j podf-FORWARD', '-A FORWARD -j podf-FORWARD'] },
  },
]

/** A stranger who may not even send. */
const OUTBOUND: readonly ChainDamage[] = [
  { title: "the senders' dispatch chain flushed", opens: false, tables: { filter: ['-F podf-from'] } },
  { title: "the senders' endpoint chains flushed", opens: false, tables: { filter: ['-F podf-from-*'] } },
]

await playScenarios(
  { nodes: ['chains', 'sets', 'gap', 'twin'], agents: false },
  async (t, stage, { families, backend }) => {
    const { lab } = stage
    const twin = openTwin(stage)

    await t.test('chains', async t => {
      const post = await openPost(stage, 'chains', { families, flags: backend === 'nft' ? [] : REFRESH })
      const withinMs = backend === 'nft' ? MONITOR_MS : REFRESHED_MS
      const play = async (damages: readonly ChainDamage[]) => {
        const good = await twin.stateOf(post)
        for (const { tables, ...about } of damages)
          await damagedAndRepaired(t, post, good, {
            ...about,
            withinMs,
            damage: () => spoilChains(post, good, tables),
          })
      }
      await play(INBOUND)
      for (const family of [4, 6] as const) {
        const rules = await post.node.iptables(family, ['-S', 'FORWARD'])
        t.match(
          rules,
          /-A FORWARD -j podf-FORWARD\n-A FORWARD -j ACCEPT/,
          'the foreign rule is left alone, behind ours',
        )
      }
      await sameAsTwin(t, post)
      await post.show({
        profiles: {
          'chains-stranger': { outbound: [{ action: 'deny' }] },
          'chains-server': { inbound: [{ action: 'allow' }] },
        },
      })
      await play(OUTBOUND)
    })

    await t.test('sets', async t => {
      // Nobody watches: the kernel does not tell of sets.
      const flags = [...REFRESH, '--drift-monitor', 'off']
      const post = await openPost(stage, 'sets', { families, flags })
      const usual = await twin.stateOf(post)
      const fill = setsWith(usual, post.friend).map(
        set => `ipset -exist add ${set} ${addressFor(set, post.stranger)}`,
      )
      const emptyFriends = setsWith(usual, post.friend).map(set => `ipset flush ${set}`)
      t.equal(fill.length, 2)
      await damagedAndRepaired(t, post, usual, {
        title: 'a member added',
        withinMs: REFRESHED_MS,
        opens: true,
        damage: () => shell(post, fill),
      })
      await damagedAndRepaired(t, post, usual, {
        title: 'the set of an allow emptied',
        withinMs: REFRESHED_MS,
        opens: false,
        damage: () => shell(post, emptyFriends),
      })
      // The only losses here that are due: they show that this is noticed.
      const lost = await post.traffic.losses()
      t.ok(lost.length > 0, `the friend has lost ${lost.join(', ')}`)
      const denied = {
        'sets-stranger': { tags: ['sets-stranger'] },
        'sets-server': { inbound: [{ action: 'deny', src_tag: 'sets-stranger' }, { action: 'allow' }] },
      }
      await post.show({ profiles: denied })
      const denying = await twin.stateOf(post)
      const empty = setsWith(denying, post.stranger).map(set => `ipset flush ${set}`)
      t.equal(empty.length, 2)
      await damagedAndRepaired(t, post, denying, {
        title: 'the set of a deny emptied',
        withinMs: REFRESHED_MS,
        opens: true,
        damage: () => shell(post, empty),
      })
      await sameAsTwin(t, post)
    })

    await t.test('connections that came in through the gap end with it', async t => {
      const post = await openPost(stage, 'gap', { families, flags: [...REFRESH, '--drift-monitor', 'off'] })
      const good = await twin.stateOf(post)
      const flows = await until('flows through the gap', async () => {
        await spoilChains(post, good, { filter: ['-D FORWARD -j podf-FORWARD'] })
        return openFlows(post).catch(() => null)
      })
      await until('our jump is back', async () => isDeepStrictEqual(await kernelState(post.node), good))
      const repaired = moment()
      await pause(2000)
      for (const { name, flow } of flows) {
        const { up, down } = await flow.read()
        const ms = Math.max(up.lastAt, down.lastAt) - repaired
        t.ok(ms < 1000, `${name}: the last packet passed ${ms.toFixed(0)} ms after the repair`)
        await flow.stop()
      }
      await sameAsTwin(t, post)
    })

    /** Fails while nothing passes. */
    function openFlows({ server, stranger }: Post) {
      const wanted = families.flatMap(family =>
        (['tcp', 'udp'] as const).map(protocol => ({ family, protocol })),
      )
      return Promise.all(
        wanted.map(async ({ family, protocol }) => {
          const address = (family === 4 ? server.address4 : server.address6)!
          const flow = await lab.probe.flow(stranger, {
            address,
            port: PORT,
            protocol,
            rate: 50,
            timeoutMs: 500,
          })
          return { name: `${protocol} IPv${family}`, flow }
        }),
      )
    }

    async function sameAsTwin(t: Test, post: Post): Promise<void> {
      t.same(await kernelState(post.node), await twin.stateOf(post), 'the rules are those without the fault')
    }
  },
)

function setsWith(state: KernelState, { address4, address6 }: LabPod): string[] {
  return Object.entries(state)
    .filter(
      ([place, members]) =>
        place.startsWith('set ') && members.some(each => each === address4 || each === address6),
    )
    .map(([place]) => place.slice('set '.length))
}

function addressFor(set: string, { address4, address6 }: LabPod): string {
  return (set.startsWith('podf-4') ? address4 : address6)!
}
