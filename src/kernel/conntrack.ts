import { PodfenceError } from '../errors.ts'
import type { Family } from '../model/values.ts'
import type { Packet } from '../policy/outcome.ts'
import type { Processes } from './process.ts'

/**
 * A connection as policy sees it: source before SNAT (the original source), destination and its port after
 * DNAT (the reply's source). The path is for the judge to tell, who knows the node's addresses.
 */
export type Flow = Omit<Packet, 'path'>

/** A line of `conntrack -L`. */
export interface ConntrackEntry {
  readonly flow: Flow
  /** Where the connection was opened to, before DNAT. */
  readonly dialed: string
  readonly dialedPort?: number
}

/**
 * One line of `conntrack -L` (`tcp 6 431999 ESTABLISHED src=... dst=... src=... dst=... mark=0`), or null
 * for what is none. An ICMP entry's type and code are those of the first packet.
 */
export function parseEntry(line: string): ConntrackEntry | null {
  let protocol = -1
  let words = 0
  let source: string | undefined
  let dialed: string | undefined
  let destination: string | undefined
  const numbers: Record<string, number> = {}
  for (const word of line.split(' ')) {
    if (word === '') continue
    if (++words === 2) protocol = Number(word)
    const equals = word.indexOf('=')
    if (equals < 0) continue
    const key = word.slice(0, equals)
    const value = word.slice(equals + 1)
    if (key === 'src') {
      if (source === undefined) source = value
      else destination ??= value
    } else if (key === 'dst') dialed ??= value
    else if (key === 'sport' || key === 'dport' || key === 'type' || key === 'code') {
      const name = destination === undefined ? key : `reply ${key}`
      numbers[name] ??= Number(value)
    }
  }
  if (source === undefined || dialed === undefined || destination === undefined) return null
  if (!Number.isInteger(protocol) || protocol < 0 || protocol > 255) return null
  const family: Family = source.includes(':') ? 6 : 4
  const { sport, dport, type, code } = numbers
  const answering = numbers['reply sport']
  return {
    flow: {
      family,
      source,
      destination,
      protocol,
      ...(sport === undefined ? {} : { sourcePort: sport }),
      ...(answering === undefined ? {} : { destinationPort: answering }),
      ...(type === undefined ? {} : { icmpType: type }),
      ...(code === undefined ? {} : { icmpCode: code }),
    },
    dialed,
    ...(dport === undefined ? {} : { dialedPort: dport }),
  }
}

/** An entry that went by itself while the table was walked ends the walk; it is walked again then. */
const WALKS = 10

/** Two cores is what every node has, and each walk over the table is one core's work. */
const ABREAST = 2

/**
 * Runs conntrack once for each line of words; after each, a line with its exit code and what it said. Processes of a
 * small shell's are cheaper than the agent's own, of which each stops the event loop for milliseconds.
 */
const PROGRAM =
  'set -f; exec 3>&1; while read -r words; do said=$(conntrack $words 2>&1 >&3); echo podf-end $? $said; done'

/**
 * Deletes the entries that match each list of words (`-D -f ipv4 -p 6 -s A -r B`); resolves with how many
 * went. `conntrack -R` would take them all at once, but only newer ones know it, and it walks the table once a
 * line just the same. Throws KERNEL_UNREADABLE.
 */
export async function deleteEntries(
  processes: Processes,
  deletions: readonly (readonly string[])[],
): Promise<number> {
  let lines = deletions.map(words => words.join(' '))
  let deleted = 0
  for (let walk = 1; lines.length > 0; walk++) {
    const shares = Array.from({ length: ABREAST }, (_, share) =>
      lines.filter((_, n) => n % ABREAST === share),
    )
    const work = shares.filter(share => share.length > 0).map(share => deleteLines(processes, share))
    const ends = await Promise.all(work)
    deleted += ends.reduce((sum, end) => sum + end.deleted, 0)
    lines = ends.flatMap(({ interrupted }) => interrupted)
    if (walk === WALKS && lines.length > 0) throw unreadable(`entries keep going away: ${lines[0]}`)
  }
  return deleted
}

/** How many went, and of which lines the walk ended early. */
async function deleteLines(
  processes: Processes,
  lines: readonly string[],
): Promise<{ readonly deleted: number; readonly interrupted: readonly string[] }> {
  const end = await processes.run('sh', ['-c', PROGRAM], { input: lines.map(line => `${line}\n`).join('') })
  if (end.code !== 0) throw unreadable(end.timedOut ? 'it did not end in time' : end.stderr.trim())
  const interrupted: string[] = []
  let deleted = 0
  let done = 0
  for (const said of end.stdout.split('\n')) {
    if (said.includes('src=')) deleted++
    if (!said.startsWith('podf-end ')) continue
    const line = lines[done++]!
    // Exit code 1 with "0 flow entries have been deleted" is no failure: they went by themselves.
    if (/^podf-end 0\b|\b0 flow entries/.test(said)) continue
    if (!/doesn't exist/.test(said)) throw unreadable(said.slice('podf-end '.length))
    interrupted.push(line)
  }
  return { deleted, interrupted }
}

function unreadable(why: string): PodfenceError {
  return new PodfenceError('KERNEL_UNREADABLE', `conntrack: ${why}`)
}
