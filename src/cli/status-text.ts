import type { HealthReport } from '../runtime/health.ts'
import type { EndpointStatus, Status } from '../runtime/status.ts'
import { oneLine, table } from './table.ts'
import type { Colour } from './terminal.ts'

type Paint = (colour: Colour, text: string) => string

/** The status for people: what is well in a few lines, what is not in full. `verbose` lists every endpoint too. */
export function statusText(status: Status, verbose: boolean, paint: Paint): string {
  const sections = [summary(status, paint), troubles(status, verbose, paint)]
  if (verbose && status.endpoints.length > 0) sections.push(endpointTable(status.endpoints))
  return sections.filter(section => section !== '').join('\n\n')
}

function summary(status: Status, paint: Paint): string {
  const { kernel, source } = status
  const ready = status.health.ready.healthy
  const head = ready ? paint('green', 'ready') : paint('red', 'not ready')
  const fallbacks =
    kernel.fallbacks.length === 0 ? '' : `, one process per update for ${kernel.fallbacks.join(', ')}`
  const lines: [string, string][] = [
    [`podfence ${status.version}`, `on ${status.host}, process ${status.pid}: ${head}`],
    ['source', `${source.name}: ${source.connected ? 'connected' : paint('yellow', 'not connected')}`],
    [
      'sync',
      status.sync.inSync
        ? 'in sync'
        : paint('yellow', `waiting: ${status.sync.waitingFor ?? 'no word of the source yet'}`),
    ],
    ['revision', revisions(status, paint)],
    ['endpoints', endpointCounts(status.endpoints)],
    [
      'kernel',
      `iptables-${kernel.backend}${fallbacks}${kernel.lastApply === null ? '' : `, last apply ${kernel.lastApply}`}`,
    ],
  ]
  const scan = status.lastCutScan
  if (scan !== null) lines.push(['cut scan', `${scan.at}: ${scan.cut} connections cut, ${scan.ms} ms`])
  const wide = Math.max(...lines.map(([name]) => name.length))
  return lines.map(([name, text]) => `${name.padEnd(wide)}  ${oneLine(text)}`).join('\n')
}

function revisions({ revision, appliedRevision, enforcedRevision }: Status, paint: Paint): string {
  if (revision === null) return 'none yet'
  if (revision === enforcedRevision) return `${revision}, enforced`
  if (revision === appliedRevision)
    return paint('red', `${revision}, enforced but for what the kernel did not take`)
  return paint('yellow', `${revision}, enforced up to ${enforcedRevision ?? 'none'}`)
}

function endpointCounts(endpoints: readonly EndpointStatus[]): string {
  const counts = new Map<string, number>()
  for (const { state } of endpoints) counts.set(state, (counts.get(state) ?? 0) + 1)
  if (counts.size === 0) return 'none'
  return [...counts]
    .sort()
    .map(([state, count]) => `${count} ${state}`)
    .join(', ')
}

/** How many lines of one kind are shown; a store full of bad values must not push the rest off the screen. */
const MOST_OF_A_KIND = 10

/** Everything that an operator should look at, one line each with what it is about first. */
function troubles(status: Status, verbose: boolean, paint: Paint): string {
  const red = (text: string) => paint('red', text)
  const yellow = (text: string) => paint('yellow', text)
  const dim = (text: string) => paint('dim', text)
  const { kernel, source } = status
  const warned = new Set(status.policyWarnings.map(({ subject }) => subject))
  const kinds: readonly (readonly string[])[] = [
    [...unhealthy(status.health.live), ...unhealthy(status.health.ready)].map(red),
    source.connected || source.reason === null ? [] : [yellow(`source: ${source.reason}`)],
    kernel.failure === null ? [] : [red(`kernel: ${kernel.failure}`)],
    kernel.mismatch === null ? [] : [yellow(`backend: ${kernel.mismatch}`)],
    status.refused.map(({ owner, chain, said }) =>
      red(`refused by the kernel: ${owner} (${chain}): ${said}`),
    ),
    status.short.map(({ owner, lacking, said }) => red(`set of ${owner} lacks ${lacking} members: ${said}`)),
    status.rejections.map(({ key, reason, remedy }) => red(`rejected: ${key}: ${reason}. ${remedy}`)),
    status.policyWarnings.map(({ level, subject, text }) => paint(level, `${subject} ${text}`)),
    // Pending ones are counted above; a closed one is mostly told of by policy already.
    status.endpoints
      .filter(({ id, state }) => state === 'failed' || (state === 'closed' && !warned.has(`endpoint ${id}`)))
      .map(({ id, state, reason }) =>
        (state === 'failed' ? red : yellow)(`endpoint ${id} is ${state}: ${reason ?? ''}`),
      ),
    status.hostEndpoints.map(id => yellow(`host endpoint ${id}: NOT ENFORCED`)),
    status.ignoredConfig.map(({ key, reason, warn }) => (warn ? yellow : dim)(`ignored: ${key}: ${reason}`)),
    status.needRestart.length === 0 ? [] : [yellow(`restart needed for: ${status.needRestart.join(', ')}`)],
    status.warnings.map(yellow),
  ]
  const shown = kinds.flatMap(kind => {
    if (verbose || kind.length <= MOST_OF_A_KIND) return kind
    const rest = kind.length - MOST_OF_A_KIND
    return [
      ...kind.slice(0, MOST_OF_A_KIND),
      dim(`... and ${rest} more of these (podfence status --verbose)`),
    ]
  })
  return shown.map(line => oneLine(line)).join('\n')
}

function unhealthy(report: HealthReport): string[] {
  return report.parts
    .filter(part => !part.healthy)
    .map(({ name, reason, since }) => `unhealthy: ${name} since ${since}: ${reason ?? ''}`)
}

function endpointTable(endpoints: readonly EndpointStatus[]): string {
  const rows = endpoints.map(({ id, interface: name, addresses, state, policies }) => [
    id,
    name ?? 'by address',
    addresses.join(','),
    state,
    policies.join(' '),
  ])
  return table(['ENDPOINT', 'INTERFACE', 'ADDRESSES', 'STATE', 'POLICIES'], rows)
}
