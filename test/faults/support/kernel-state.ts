import { toolName } from '../../../src/kernel/backend.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import type { Stage } from '../../../src/lab/stage.ts'
import { hasEnforced } from '../../../src/lab/stage.ts'
import { until } from '../../until.ts'
import type { Post } from './post.ts'

/** What a kernel holds of ours: the rules of each chain, the members of each set, our jumps in the kernel's chains. */
export type KernelState = Readonly<Record<string, readonly string[]>>

/** Reads it with the tools that people use. Members that come and go by themselves are left out. */
export async function kernelState(node: LabNode): Promise<KernelState> {
  const saves = ([4, 6] as const).flatMap(family =>
    ['raw', 'filter'].map(
      table => `echo "@ IPv${family} ${table}"; ${toolName(node.backend, family, 'save')} -t ${table}`,
    ),
  )
  const { stdout } = await node.run(['sh', '-ec', `${saves.join('\n')}\necho "@ sets"; ipset save`])
  const state: Record<string, string[]> = {}
  let section = ''
  for (const line of stdout.split('\n')) {
    const [verb = '', name = '', ...rest] = line.split(' ')
    if (verb === '@') section = line.slice(2)
    else if (section === 'sets') noteSet(state, verb, name, rest)
    else if (line.startsWith(':podf-')) state[`${section} ${line.slice(1, line.indexOf(' '))}`] = []
    else if (verb === '-A') noteRule(state, section, name, rest.join(' '))
  }
  for (const [name, members] of Object.entries(state)) if (name.startsWith('set ')) members.sort()
  return state
}

/** Of the kernel's own chains only what stands first, and our jumps further on. */
function noteRule(state: Record<string, string[]>, section: string, chain: string, rule: string): void {
  const place = `${section} ${chain}`
  const known = state[place]
  if (chain.startsWith('podf-')) known?.push(rule)
  else if (known === undefined) state[place] = [rule]
  else if (rule.includes('podf-')) known.push(rule)
}

/** The size of the hash and its random seed are the kernel's own affair. */
function noteSet(
  state: Record<string, string[]>,
  verb: string,
  name: string,
  words: readonly string[],
): void {
  const key = `set ${name}`
  if (verb === 'create') {
    const traits = ['family', 'maxelem', 'timeout'].flatMap(word => {
      const at = words.indexOf(word)
      return at < 0 ? [] : [`${word} ${words[at + 1]}`]
    })
    state[key] = [`create ${words[0]} ${traits.join(' ')}`]
  } else if (verb === 'add' && words[1] !== 'timeout') state[key]?.push(words.join(' '))
}

/** A node on which no fault ever happens. */
export interface Twin {
  /** What the kernel holds under a new agent with the same store, host name and flags. */
  stateOf(post: Post): Promise<KernelState>
}

export function openTwin(stage: Stage): Twin {
  const node = stage.lab.node('twin')
  let turn: Promise<unknown> = Promise.resolve()
  const rendered = async (post: Post): Promise<KernelState> => {
    const flags = ['--host-name', post.node.name, '--cleanup-on-exit', ...post.flags]
    const agent = stage.startAgent('twin', flags)
    await until(`the twin of ${post.node.name} enforces revision ${post.written}`, async () => {
      const status = await stage.status('twin').catch(() => null)
      return status !== null && hasEnforced(status, post.written)
    })
    const state = await kernelState(node)
    await agent.stop(20_000)
    return state
  }
  return {
    stateOf(post) {
      const next = turn.then(() => rendered(post))
      turn = next.catch(() => {})
      return next
    },
  }
}
