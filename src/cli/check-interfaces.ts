import { join } from 'node:path'
import type { Settings } from '../runtime/setting-table.ts'
import { type EndpointStatus, STATUS_FILE, type Status } from '../runtime/status.ts'
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
  const endpoints = await toldEndpoints(files, runDir)
  const says = `${gates.length} named ${patterns}; bridges: ${bridges.join(', ') || 'none'}`
  if (endpoints === null) return green('interfaces', `${says}; no agent has told whose they are`)
  return judge(says, gates, endpoints, bridges)
}

/** An endpoint that is told by its addresses hangs on one of the interfaces that nobody names, or on a bridge. */
function judge(
  says: string,
  gates: readonly string[],
  endpoints: readonly ToldEndpoint[],
  bridges: readonly string[],
): Finding {
  const owned = new Set(endpoints.map(({ interface: name }) => name))
  const unknown = gates.filter(name => !owned.has(name))
  const nameless = endpoints.filter(({ interface: name }) => name === null).length
  const portless = endpoints.filter(({ interface: name }) => name !== null && bridges.includes(name)).length
  const parts = [
    says,
    ...(unknown.length === 0 ? ['each has its endpoint'] : []),
    ...(nameless === 0 ? [] : [`${counted(nameless)} told by their addresses`]),
  ]
  const some = unknown.slice(0, MOST_NAMES).join(', ')
  const portsUnknown = portless + (bridges.length === 0 ? 0 : nameless)
  const surelyClosed = unknown.length - nameless
  if (unknown.length > 0 && nameless === 0)
    parts.push(`${surelyClosed} without an endpoint are closed: ${some}`)
  else if (unknown.length > 0 && portsUnknown > 0)
    parts.push(`unless one of these hangs on it, closed: ${some}`)
  else if (surelyClosed > 0)
    parts.push(`at least ${surelyClosed} without an endpoint are closed, among: ${some}`)
  if (portsUnknown > 0)
    return yellow(
      'interfaces',
      [
        ...parts,
        `endpoints whose bridge port is not known: ${portsUnknown}; any port may use their addresses`,
      ].join('; '),
      'Where the CNI plugin podfence-cni stands in the chain, it tells the agent the port of each pod that starts.',
    )
  if (surelyClosed <= 0) return green('interfaces', parts.join('; '))
  return yellow(
    'interfaces',
    parts.join('; '),
    'They open when the source has an endpoint with that interface; what is no workload needs another name.',
  )
}

function counted(endpoints: number): string {
  return endpoints === 1 ? '1 endpoint is' : `${endpoints} endpoints are`
}

type ToldEndpoint = Pick<EndpointStatus, 'interface'>

/** The endpoints of the status file; null where no agent has written one. */
async function toldEndpoints(files: HostFiles, runDir: string): Promise<readonly ToldEndpoint[] | null> {
  const text = await files.text(join(runDir, STATUS_FILE))
  if (text === null) return null
  try {
    return (JSON.parse(text) as Status).endpoints.map(({ interface: name }) => ({ interface: name }))
  } catch {
    return null
  }
}
