import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import { toolName } from '../../../src/kernel/backend.ts'
import type { AgentProcess } from '../../../src/lab/agent-process.ts'
import { moment } from '../../../src/lab/probe.ts'
import type { Family } from '../../../src/model/values.ts'
import { until } from '../../until.ts'
import { type KernelState, kernelState } from './kernel-state.ts'
import type { Post } from './post.ts'

/** What another program does to what is ours, and what may come of it. */
export interface Damage {
  readonly title: string
  /** Whether packets pass until it is repaired. */
  readonly opens: boolean
  /** Then the repair is due so soon, in ms; what stays closed can wait. */
  readonly withinMs: number
  readonly damage: () => Promise<unknown>
}

/** A repair that is late is asked for again: a busy machine is late now and then, a slow agent always. */
const TRIES = 3

/** When no repair has been told of by then, in ms, somebody must look for it. */
const LOOK_AFTER_MS = 500

/** Plays one, waits until the kernel is as it was, and tells what passed meanwhile and how long it took. */
export async function damagedAndRepaired(t: Test, post: Post, good: KernelState, fault: Damage) {
  const { title, opens, withinMs } = fault
  await until('nothing is under way', async () => isDeepStrictEqual(await kernelState(post.node), good))
  let ms = Number.POSITIVE_INFINITY
  for (let tries = 0; ms > withinMs && tries < (opens ? TRIES : 1); tries++) {
    const played = await play(post, good, fault)
    ms = played.ms
    t.comment(`${title}: ${played.before} packets passed, repaired after ${ms.toFixed(0)} ms`)
    t.equal(played.after, 0, `${title}: nothing passes after the repair`)
    if (!opens) t.equal(played.before, 0, `${title}: nothing passes before the repair either`)
  }
  if (opens) t.ok(ms <= withinMs, `${title}: repaired within ${withinMs} ms`)
}

/** Packets that passed before and after the repair, and its milliseconds. */
async function play({ node, agent, traffic }: Post, good: KernelState, { title, damage }: Damage) {
  const repairs = followRepairs(agent)
  const began = moment()
  await damage()
  const damaged = moment()
  // To look takes the processor from the repair.
  await Promise.race([repairs.first, pause(LOOK_AFTER_MS)])
  await until(
    () => `repaired: ${title}\n${agent.log().slice(-2000)}`,
    async () => isDeepStrictEqual(await kernelState(node), good),
  )
  const seen = moment()
  const repaired = (await repairs.last()) ?? seen
  await traffic.goesOn()
  const passed = await traffic.leaked(began)
  const after = await traffic.leaked(seen)
  const ms = passed > 0 ? (await traffic.lastLeak(began)) - began : repaired - damaged
  return { before: passed - after, after, ms }
}

/** Notes the moment of each repair that an agent tells of: looking at the whole kernel takes longer than a repair. */
function followRepairs(agent: AgentProcess) {
  const count = () => agent.log().split('foreign changes repaired').length
  let known = count()
  let last: number | null = null
  let over = false
  let tell = () => {}
  const first = new Promise<void>(resolve => {
    tell = resolve
  })
  const follow = async () => {
    while (!over) {
      await pause(10)
      if (count() === known) continue
      known = count()
      last = moment()
      tell()
    }
  }
  const following = follow()
  return {
    /** Resolves when one is told of. */
    first,
    /** Ends it; null: none was told of. */
    async last(): Promise<number | null> {
      over = true
      await following
      return last
    },
  }
}

/** Lines of iptables-restore by table; `-F podf-to-*` stands for one line for each chain that begins so. */
export type TableLines = Readonly<Record<string, readonly string[]>>

/** Carries them out in both families side by side, each table at once. */
export function spoilChains(post: Post, good: KernelState, tables: TableLines): Promise<unknown> {
  const names = new Set(Object.keys(good).map(place => place.split(' ')[2] ?? ''))
  const text = Object.entries(tables).map(([table, lines]) =>
    [`*${table}`, ...lines.flatMap(line => withEachName(line, names)), 'COMMIT\n'].join('\n'),
  )
  const restore = (family: Family, after: string) =>
    `${toolName(post.node.backend, family, 'restore')} --noflush -w <<'END' ${after}\n${text.join('')}END`
  return shell(post, [restore(4, '& first=$!'), restore(6, ''), 'wait $first'])
}

function withEachName(line: string, names: ReadonlySet<string>): string[] {
  const start = /(podf-\S+)\*$/.exec(line)?.[1]
  if (start === undefined) return [line]
  return [...names].filter(name => name.startsWith(start)).map(name => line.replace(`${start}*`, name))
}

/** Runs lines of shell on a post's node. */
export function shell(post: Post, lines: readonly string[]): Promise<unknown> {
  return post.node.run(['sh', '-e'], { input: lines.join('\n') })
}
