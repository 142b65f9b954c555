import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import type { AgentProcess } from '../../../src/lab/agent-process.ts'
import type { LabEtcd } from '../../../src/lab/lab-etcd.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import type { LabPod } from '../../../src/lab/pod.ts'
import { hasApplied, type Stage } from '../../../src/lab/stage.ts'
import { type WorldWords, worldChanges, worldEntries } from '../../../src/lab/world.ts'
import type { Family } from '../../../src/model/values.ts'
import type { Status } from '../../../src/runtime/status.ts'
import type { KeyChange } from '../../../src/source/event.ts'
import { until } from '../../until.ts'
import { kernelState, type Twin } from './kernel-state.ts'
import { openTraffic, PORT, type Traffic } from './traffic.ts'

/** etcd's limit is 128 operations in one transaction. */
const MOST_IN_ONE = 100

/** A node under fire: its agent, a server, who may reach it and who may not. */
export interface Post {
  readonly node: LabNode
  readonly server: LabPod
  readonly friend: LabPod
  readonly stranger: LabPod
  /** Flags of its agent beside the laboratory's. */
  readonly flags: readonly string[]
  readonly traffic: Traffic
  /** The agent that runs, or ran last. */
  readonly agent: AgentProcess
  /** What the store says of this post, as it was told. */
  readonly shown: ReadonlyMap<string, string>
  /** The store's revision after this post's last write. */
  readonly written: bigint
  /** What its agent says of itself; null while it does not answer. */
  status(): Promise<Status | null>
  start(): void
  /** Adds to what the store says of this post, and waits until that is enforced; another call begins anew. */
  show(more?: Partial<WorldWords>): Promise<number>
  /** Writes the same without waiting; resolves when the store has it. */
  tell(more?: Partial<WorldWords>): Promise<void>
  commit(changes: readonly KeyChange[]): Promise<void>
  /** Waits until the agent has enforced everything up to the last write. Milliseconds from here on. */
  enforced(): Promise<number>
  /** The store has forgotten all: what is told next is told whole. */
  forget(): void
  untilStatus(what: string, test: (status: Status) => boolean): Promise<Status>
  /** Nothing denied ever passed, and the kernel holds what an agent makes of the store that saw no fault (null: not asked). */
  closed(t: Test, title: string, twin: Twin | null): Promise<void>
  /** And nothing allowed was ever lost. */
  unharmed(t: Test, title: string, twin: Twin | null): Promise<void>
}

export interface PostOptions {
  readonly families: readonly Family[]
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The store of this post alone. Default: the stage's. */
  readonly etcd?: LabEtcd
  /** Where its agent finds the store, when that is not the store's own address. */
  readonly endpoint?: string
}

/** Takes a post on the node of this name: pods, agent, traffic. */
export async function openPost(stage: Stage, name: string, options: PostOptions): Promise<Post> {
  const { families, etcd = stage.etcd, endpoint = etcd.endpoint, env = {} } = options
  const { lab } = stage
  const node = lab.node(name)
  const [server, friend, stranger] = (await lab.addPods(
    ['server', 'friend', 'stranger'].map(role => ({ name: `${name}-${role}`, node, kind: 'routed' })),
  )) as [LabPod, LabPod, LabPod]
  for (const protocol of ['tcp', 'udp'] as const) await lab.probe.listen(server, { protocol, port: PORT })

  const flags = ['--etcd-endpoints', endpoint, ...(options.flags ?? [])]
  let agent = stage.startAgent(name, flags, env)
  let shown: ReadonlyMap<string, string> = new Map()
  let written = 0n
  let traffic: Traffic | null = null

  const post: Post = {
    ...{ node, server, friend, stranger, flags },
    get traffic() {
      return traffic!
    },
    get agent() {
      return agent
    },
    get shown() {
      return shown
    },
    get written() {
      return written
    },
    status: () => stage.status(name).catch(() => null),
    start() {
      agent = stage.startAgent(name, flags, env)
    },
    async show(more) {
      await post.tell(more)
      return post.enforced()
    },
    async tell(more = {}) {
      const entries = worldEntries(usualWorld(post, more))
      const changes = worldChanges(shown, entries)
      shown = entries
      await post.commit(changes)
    },
    async commit(changes) {
      for (let from = 0; from < changes.length; from += MOST_IN_ONE) {
        const batch = changes.slice(from, from + MOST_IN_ONE)
        const puts = batch.flatMap(({ key, value }) => (value === null ? [] : [{ key, value }]))
        const deletes = batch.flatMap(({ key, value }) => (value === null ? [key] : []))
        written = await etcd.store.commit({ puts, deletes })
      }
    },
    async enforced() {
      const began = performance.now()
      await post.untilStatus(`revision ${written} is applied`, status => hasApplied(status, written))
      return performance.now() - began
    },
    forget() {
      shown = new Map()
    },
    untilStatus: (what, test) =>
      until(
        () => `${what}\n${agent.log().slice(-4000)}`,
        async () => {
          const status = await post.status()
          return status !== null && test(status) ? status : null
        },
      ),
    async closed(t, title, twin) {
      await noneDenied(t, title, '')
      await sameAs(t, title, twin)
    },
    async unharmed(t, title, twin) {
      const { allowed } = await traffic!.tried()
      const losses = await traffic!.losses()
      t.same(losses, [], `${title}: an allowed flow loses nothing`)
      const lost = losses.length === 0 ? 'none' : losses.join(', ')
      await noneDenied(t, title, `; of ${allowed} allowed ones ${lost} lost`)
      await sameAs(t, title, twin)
    },
  }
  async function noneDenied(t: Test, title: string, more: string): Promise<void> {
    await traffic!.goesOn()
    const [leaked, { denied }] = [await traffic!.leaked(), await traffic!.tried()]
    t.comment(`${title}: ${leaked} of ${denied} denied packets passed${more}`)
    t.equal(leaked, 0, `${title}: a denied flow passes nothing`)
  }
  async function sameAs(t: Test, title: string, twin: Twin | null): Promise<void> {
    if (twin === null) return
    const untroubled = await twin.stateOf(post)
    let state = await kernelState(node)
    // A cut may still be under way, and its rules are there only as long.
    for (let tries = 0; tries < 20 && !isDeepStrictEqual(state, untroubled); tries++) {
      await pause(250)
      state = await kernelState(node)
    }
    t.same(state, untroubled, `${title}: the rules are those without the fault`)
  }

  await post.show()
  traffic = await openTraffic(lab.probe, families, post)
  lab.onClose(() => traffic!.stop())
  return post
}

/** Another list of the server's rules for each number; none of them changes who gets what here. */
export function edited(node: string, number: number): Partial<WorldWords> {
  const deny = { action: 'deny', protocol: 'tcp', dst_ports: [PORT + number] }
  return {
    profiles: { [`${node}-server`]: { inbound: [deny, { action: 'allow', src_tag: `${node}-friend` }] } },
  }
}

/** The server takes whoever has the friend's tag. Names hold the node's, since posts may share a store. */
function usualWorld({ node, server, friend, stranger }: Post, more: Partial<WorldWords>): WorldWords {
  const name = (role: string) => `${node.name}-${role}`
  return {
    ...more,
    endpoints: [
      { pod: server, profiles: [name('server')], labels: { post: node.name } },
      { pod: friend, profiles: [name('friend')] },
      { pod: stranger, profiles: [name('stranger')] },
      ...(more.endpoints ?? []),
    ],
    profiles: {
      [name('server')]: { inbound: [{ action: 'allow', src_tag: name('friend') }] },
      [name('friend')]: { tags: [name('friend')] },
      [name('stranger')]: {},
      ...more.profiles,
    },
  }
}
