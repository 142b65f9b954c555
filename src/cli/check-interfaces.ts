import { join } from 'node:path'
import type { Settings } from '../runtime/setting-table.ts'
import { STATUS_FILE, type Status } from '../runtime/status.ts'
import { type Finding, green, yellow } from './finding.ts'
import type { HostFiles } from './host-files.ts'

/** A few names are enough to know where to look. */
const MOST_NAMES = 5

/**
 * The interfaces that count as workloads' here, and those among them that no endpoint owns, as far as an agent has told
 * in its status file.
 */
export async function checkInterfaces(
  { interfacePrefixes, bridges, runDir }: Pick<Settings, 'interfacePrefixes' | 'bridges' | 'runDir'>,
  files: HostFiles,
): Promise<Finding> {
  const all = (await files.names('/sys/class/net')) ?? []
  const gates = all.filter(name => interfacePrefixes.some(prefix => name.startsWith(prefix)))
  const missing = bridges.filter(bridge => !all.includes(bridge))
  if (missing.length > 0)
    return yellow('interfaces', `there is no ${missing.join(', ')} yet`, 'See the setting bridges.')
  const patterns = interfacePrefixes.map(prefix => `${prefix}*`).join(', ')
  if (gates.length === 0 && bridges.length === 0)
    return yellow(
      'interfaces',
      `none is named ${patterns}, and no bridge is set`,
      'Where workloads run here already, set interfacePrefixes or bridges to what carries them.',
    )
  const owned = await ownedInterfaces(files, runDir)
  const says = `${gates.length} named ${patterns}; bridges: ${bridges.join(', ') || 'none'}`
  if (owned === null) return green('interfaces', `${says}; no agent has told whose they are`)
  const unknown = gates.filter(name => !owned.has(name))
  if (unknown.length === 0) return green('interfaces', `${says}; each has its endpoint`)
  const some = unknown.slice(0, MOST_NAMES).join(', ')
  return yellow(
    'interfaces',
    `${says}; ${unknown.length} without an endpoint are closed: ${some}`,
    'They open when the source has an endpoint with that interface; what is no workload needs another name.',
  )
}

async function ownedInterfaces(files: HostFiles, runDir: string): Promise<ReadonlySet<string> | null> {
  const text = await files.text(join(runDir, STATUS_FILE))
  if (text === null) return null
  try {
    const { endpoints } = JSON.parse(text) as Status
    return new Set(endpoints.flatMap(({ interface: name }) => (name === null ? [] : [name])))
  } catch {
    return null
  }
}
