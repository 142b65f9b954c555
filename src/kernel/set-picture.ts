import { PodfenceError } from '../errors.ts'
import { parseIpsetSave } from './ipset/parse.ts'
import { ACK_SET } from './ipset/session.ts'
import { PREFIX } from './own-names.ts'
import type { Reader } from './picture.ts'

/** A set as the kernel holds it. `timeout` null: its members stay for ever. */
export interface SetPicture {
  readonly type: string
  readonly family: 4 | 6
  readonly maxElements: number
  readonly timeout: number | null
  readonly members: readonly string[]
}

/** The names of our sets, the acknowledgement set among them. Names only: a foreign set may be unreadable. */
export async function listOwnSets(reader: Pick<Reader, 'processes'>): Promise<readonly string[]> {
  const list = await reader.processes.run('ipset', ['list', '-n'])
  if (list.missing) throw new PodfenceError('PREREQUISITE_MISSING', 'there is no program ipset')
  if (list.code !== 0) throw new PodfenceError('KERNEL_UNREADABLE', `ipset list -n: ${list.stderr.trim()}`)
  return list.stdout.split('\n').filter(name => name.startsWith(PREFIX))
}

/**
 * Reads our sets, each by its name in one process (`save` without a name would read foreign ones too).
 * A set that vanishes meanwhile spoils the answers after it, so then it is tried once more.
 */
export async function readOwnSets(reader: Reader): Promise<Map<string, SetPicture>> {
  for (let attempt = 1; ; attempt++) {
    const wanted = (await listOwnSets(reader)).filter(name => name !== ACK_SET)
    if (wanted.length === 0) return new Map()
    reader.counters.saves++
    const input = wanted.map(name => `save ${name}\n`).join('')
    const save = await reader.processes.run('ipset', ['-'], { input })
    if (save.stderr.trim() === '' && save.code === 0) return parseSets(save.stdout)
    if (attempt === 3) throw new PodfenceError('KERNEL_UNREADABLE', `ipset save: ${save.stderr.trim()}`)
  }
}

/** The text of an `ipset -` that was asked to save: its prompts stand before each set's first line. */
export function parseSets(text: string): Map<string, SetPicture> {
  const sets = new Map<string, SetPicture>()
  for (const set of parseIpsetSave(text.replace(/^(?:ipset> )+/gm, ''))) {
    sets.set(set.name, {
      type: set.type,
      family: set.family ?? 4,
      maxElements: set.maxelem ?? 0,
      timeout: set.timeout,
      members: set.elements.map(({ element }) => element),
    })
  }
  return sets
}
