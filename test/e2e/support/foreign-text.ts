import { BACKENDS, toolName } from '../../../src/kernel/backend.ts'
import type { LabNode } from '../../../src/lab/node.ts'
import { FAMILIES } from '../../../src/model/values.ts'

/** Every rule, chain and policy of others on a node, in both backends and families, without what they have counted. */
export async function foreignText(node: LabNode): Promise<string> {
  return (await everyRule(node)).filter(line => !/podf-/.test(line)).join('\n')
}

/** Whatever on a node bears podfence's name: rules of both backends, and sets. */
export async function ownText(node: LabNode): Promise<string[]> {
  const sets = (await node.run(['ipset', 'list', '-n'])).stdout.split('\n')
  return [...(await everyRule(node)), ...sets].filter(line => /podf-/.test(line))
}

async function everyRule(node: LabNode): Promise<string[]> {
  const texts = await Promise.all(
    BACKENDS.flatMap(backend =>
      FAMILIES.map(async family => {
        const { stdout } = await node.run([toolName(backend, family, 'save')])
        return tables(stdout).flatMap(([table, lines]) =>
          lines.map(line => `${backend} ${family} ${table} ${line}`),
        )
      }),
    ),
  )
  return texts.flat()
}

/** Rules and chains by table. An empty chain of the kernel's own with policy ACCEPT says nothing. */
function tables(save: string): [string, string[]][] {
  const found: [string, string[]][] = []
  for (const line of save.split('\n')) {
    if (line.startsWith('*')) found.push([line.slice(1), []])
    else if (line.startsWith('-A ')) found.at(-1)![1].push(line)
    else if (line.startsWith(':') && !/^:\S+ ACCEPT /.test(line))
      found.at(-1)![1].push(line.replace(/ \[.*/, ''))
  }
  return found
}
