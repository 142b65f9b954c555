import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import { toolName } from '../../src/kernel/backend.ts'
import type { LabPod } from '../../src/lab/pod.ts'
import { moment } from '../../src/lab/probe.ts'
import { playScenarios } from '../stage.ts'
import { type KernelState, kernelState, openTwin } from './support/kernel-state.ts'
import { openPost, type Post } from './support/post.ts'
import { PORT } from './support/traffic.ts'
import { until } from './support/until.ts'

const REFRESH = ['--refresh-interval', '3s']

/** What other programs do to our chains, as arguments of iptables in both families. `opens`: packets pass meanwhile. */
const DAMAGES: readonly {
  readonly title: string
  readonly opens: boolean
  readonly commands: readonly string[]
}[] = [
  { title: 'our jump deleted', opens: true, commands: ['-D FORWARD -j podf-FORWARD'] },
  { title: 'our top chain flushed', opens: true, commands: ['-F podf-FORWARD'] },
  { title: 'an accept in a chain of ours', opens: true, commands: ['-I podf-forward-from -j ACCEPT'] },
  { title: 'everything flushed and deleted', opens: true, commands: ['-F', '-X', '-t raw -F', '-t raw -X'] },
  { title: 'a dispatch chain flushed', opens: false, commands: ['-F podf-to'] },
  { title: 'the endpoint chains flushed', opens: false, commands: ['-F podf-to-*', '-F podf-from-*'] },
  { title: 'the rules flushed', opens: false, commands: ['-F podf-in-*', '-F podf-out-*'] },
  { title: 'the source check cut off', opens: false, commands: ['-t raw -D PREROUTING -j podf-PREROUTING'] },
  { title: 'a foreign accept before our jump', opens: true, commands: ['-I FORWARD -j ACCEPT'] },
]

await playScenarios(
  { nodes: ['chains', 'sets', 'gap', 'twin'], agents: false },
  async (t, stage, { families, backend }) => {
    const { lab } = stage
    const twin = openTwin(stage)

    await t.test('chains', async t => {
      // On nft nobody but the monitor can be so quick: the refresh is minutes away.
      const post = await openPost(stage, 'chains', { families, flags: backend === 'nft' ? [] : REFRESH })
      const good = await kernelState(post.node)
      const names = new Set(Object.keys(good).map(place => place.split(' ')[2] ?? ''))
      for (const { title, opens, commands } of DAMAGES) {
        const lines = commands.flatMap(words => withEachName(words, names))
        await damagedAndRepaired(t, post, good, { title, opens, damage: () => iptables(post, lines) })
      }
      for (const family of [4, 6] as const) {
        const rules = await post.node.iptables(family, ['-S', 'FORWARD'])
        t.match(
          rules,
          /-A FORWARD -j podf-FORWARD\n-A FORWARD -j ACCEPT/,
          'the foreign rule is left alone, behind ours',
        )
        await post.node.iptables(family, ['-D', 'FORWARD', '-j', 'ACCEPT'])
      }
      await sameAsTwin(t, post)
    })

    await t.test('sets', async t => {
      // Nobody watches: the kernel does not tell of sets.
      const flags = [...REFRESH, '--drift-monitor', 'off']
      const post = await openPost(stage, 'sets', { families, flags })
      const usual = await kernelState(post.node)
      const fill = setsWith(usual, post.friend).map(
        set => `ipset -exist add ${set} ${addressFor(set, post.stranger)}`,
      )
      const emptyFriends = setsWith(usual, post.friend).map(set => `ipset flush ${set}`)
      t.equal(fill.length, 2)
      await damagedAndRepaired(t, post, usual, {
        title: 'a member added',
        opens: true,
        damage: () => shell(post, fill),
      })
      await damagedAndRepaired(t, post, usual, {
        title: 'the set of an allow emptied',
        opens: false,
        damage: () => shell(post, emptyFriends),
      })
      const denied = {
        'sets-stranger': { tags: ['sets-stranger'] },
        'sets-server': { inbound: [{ action: 'deny', src_tag: 'sets-stranger' }, { action: 'allow' }] },
      }
      // What was cut must be let in again once, or it would stay out for another reason than the set.
      await post.show({ profiles: { ...denied, 'sets-server': { inbound: [{ action: 'allow' }] } } })
      const opened = moment()
      await until('everybody is let in', async () => (await post.traffic.lastLeak()) > opened)
      await post.show({ profiles: denied })
      const denying = await kernelState(post.node)
      const empty = setsWith(denying, post.stranger).map(set => `ipset flush ${set}`)
      t.equal(empty.length, 2)
      await damagedAndRepaired(t, post, denying, {
        title: 'the set of a deny emptied',
        opens: true,
        damage: () => shell(post, empty),
      })
      await sameAsTwin(t, post)
    })

    await t.test('connections that came in through the gap end with it', async t => {
      const post = await openPost(stage, 'gap', { families, flags: [...REFRESH, '--drift-monitor', 'off'] })
      const good = await kernelState(post.node)
      const flows = await until('flows through the gap', async () => {
        await iptables(post, ['-D FORWARD -j podf-FORWARD'])
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

interface Fault {
  readonly title: string
  readonly opens: boolean
  readonly damage: () => Promise<unknown>
}

/** Plays a fault, waits until the kernel is as it was, and tells what passed meanwhile. */
async function damagedAndRepaired(t: Test, post: Post, good: KernelState, fault: Fault): Promise<void> {
  const { title, opens, damage } = fault
  const { traffic } = post
  const began = moment()
  await damage()
  await until(
    () => `repaired: ${title}\n${post.agent.log().slice(-2000)}`,
    async () => isDeepStrictEqual(await kernelState(post.node), good),
  )
  const repaired = moment()
  await traffic.goesOn()
  const [passed, last] = [await traffic.leaked(began), await traffic.lastLeak()]
  const ms = passed > 0 ? last - began : repaired - began
  t.comment(`${title}: ${passed} packets in ${ms.toFixed(0)} ms until the repair`)
  t.equal(await traffic.leaked(repaired), 0, `${title}: nothing passes after the repair`)
  if (!opens) t.equal(passed, 0, `${title}: nothing passes before the repair either`)
}

/** `-F podf-to-*` once for each chain that begins so. */
function withEachName(words: string, names: ReadonlySet<string>): string[] {
  const start = /(podf-\S+)\*$/.exec(words)?.[1]
  if (start === undefined) return [words]
  return [...names].filter(name => name.startsWith(start)).map(name => words.replace(`${start}*`, name))
}

/** Runs iptables with each of these arguments, in both families. */
function iptables(post: Post, commands: readonly string[]): Promise<unknown> {
  const { backend } = post.node
  return shell(
    post,
    ([4, 6] as const).flatMap(family =>
      commands.map(words => `${toolName(backend, family, '')} -w ${words}`),
    ),
  )
}

function shell(post: Post, lines: readonly string[]): Promise<unknown> {
  return post.node.run(['sh', '-e'], { input: lines.join('\n') })
}

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
