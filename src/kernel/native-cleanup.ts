import type { Family } from '../model/values.ts'
import type { Removal } from './cleanup.ts'
import { PREFIX } from './own-names.ts'
import type { Processes } from './process.ts'

/**
 * What of ours is in a table that iptables-save gives up on because of someone's native nft rules, as nft
 * commands by handle: jumps to our chains, then the chains' rules, then the chains.
 */
export async function nativeRemovals(
  processes: Processes,
  family: Family,
  table: string,
): Promise<readonly Removal[]> {
  const where = `${family === 4 ? 'ip' : 'ip6'} ${table}`
  const list = await processes.run('nft', ['-a', 'list', 'table', ...where.split(' ')])
  const jumps: string[] = []
  const chains: string[] = []
  let chain = ''
  for (const line of list.stdout.split('\n')) {
    const opens = /^\tchain (\S+) \{/.exec(line)
    if (opens?.[1] !== undefined) {
      chain = opens[1]
      if (chain.startsWith(PREFIX)) chains.push(chain)
      continue
    }
    const jump = /(?:jump|goto) podf-\S+ # handle (\d+)$/.exec(line)
    if (jump !== null && !chain.startsWith(PREFIX))
      jumps.push(`delete rule ${where} ${chain} handle ${jump[1]}`)
  }
  const emptied = chains.map(name => `flush chain ${where} ${name}`)
  const deleted = chains.map(name => `delete chain ${where} ${name}`)
  const lines = [...jumps, ...emptied, ...deleted]
  return lines.length === 0 ? [] : [{ tool: 'nft', lines }]
}
