import type { Backend } from '../kernel/backend.ts'
import { kernelCounters } from '../kernel/counters.ts'
import { PREFIX } from '../kernel/own-names.ts'
import { readTable, type TablePicture } from '../kernel/picture.ts'
import type { Processes } from '../kernel/process.ts'
import { FAMILIES, type Family } from '../model/values.ts'
import { FORWARD_CHAIN } from '../render/hooks.ts'
import { type Finding, green, red, yellow } from './finding.ts'

/** Who else decides in FORWARD, and in which order: one finding a family. */
export async function checkPlace(processes: Processes, backend: Backend): Promise<Finding[]> {
  return Promise.all(FAMILIES.map(family => placeOf(processes, backend, family)))
}

async function placeOf(processes: Processes, backend: Backend, family: Family): Promise<Finding> {
  const what = `FORWARD (IPv${family})`
  try {
    const table = await readTable({ processes, backend, counters: kernelCounters() }, family, 'filter')
    return judge(what, table)
  } catch (error) {
    return red(what, `cannot be read: ${(error as Error).message}`, 'Run podfence check as root.')
  }
}

function judge(what: string, table: TablePicture): Finding {
  const rules = table.get('FORWARD') ?? []
  const ours = rules.indexOf(`-j ${FORWARD_CHAIN}`)
  // A cleanup takes our chains along, so what stands without the jump has lost it to somebody else.
  if (ours < 0 && [...table.keys()].some(chain => chain.startsWith(PREFIX)))
    return red(
      what,
      `our jump is gone though our chains stand, so all workloads are open; there now: ${owners(rules)}`,
      'A running agent puts it back; where none runs, start it, or let podfence gate put it back.',
    )
  if (ours < 0)
    return green(what, `no jump of ours yet, so no agent or gate has run here; there now: ${owners(rules)}`)
  const [before, after] = [rules.slice(0, ours), rules.slice(ours + 1)]
  if (before.length === 0) return green(what, `our jump is first; after it: ${owners(after)}`)
  return yellow(
    what,
    `these decide before us: ${owners(before)}; after us: ${owners(after)}`,
    'A running agent moves its jump to the front; where others do the same again and again, set one of them aside.',
  )
}

/** The chains that the rules jump to, in their order; plain rules by their number. */
function owners(rules: readonly string[]): string {
  const targets = rules.map(rule => / ?-[jg] (\S+)/.exec(rule)?.[1] ?? 'no target')
  const named = [...new Set(targets)].map(target => {
    const count = targets.filter(other => other === target).length
    return count > 1 ? `${target} (${count} rules)` : target
  })
  return named.length === 0 ? 'nothing' : named.join(', ')
}
