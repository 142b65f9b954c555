import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { canonicalAddress } from '../model/cidr.ts'
import type { ExplainAnswer, ExplainQuestion } from '../runtime/explain.ts'
import { nodeAddresses } from '../runtime/node-addresses.ts'
import { resolveSettings } from '../runtime/settings.ts'
import { AgentClient } from './agent-client.ts'
import { outputOption } from './output.ts'
import { packetSpec } from './packet-spec.ts'
import { addSettingFlags, commandSources } from './setting-flags.ts'
import { oneLine, table } from './table.ts'
import type { Terminal } from './terminal.ts'

/** How `--exit-code` tells of a denied packet. */
const DENIED = 7

interface Options {
  readonly port: string
  readonly sourcePort?: string
  readonly from: string
  readonly exitCode?: true
  readonly output: string
}

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const command = new Command('explain')
    .description(
      "Tells whether a connection's first packet passes, what decides it, and every step on the way. " +
        'It is judged as the packet path sees it: before SNAT, after DNAT.',
    )
    .argument('<source>', 'an address, the id of a workload endpoint, or node')
    .argument('<destination>', 'an address, the id of a workload endpoint, or node')
    .option('-p, --port <protocol/port>', 'tcp/80, udp/53, icmp/8/0', 'tcp/80')
    .option('--source-port <port>', 'source port, for rules that ask for it')
    .option('--from <where>', 'agent, etcd, or a directory of objects', 'agent')
    .option('--exit-code', `end with ${DENIED} when it is denied`)
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(command).action(async (source: string, destination: string, options: Options) => {
    const question = { source, destination, ...packetSpec(options.port, options.sourcePort) }
    const answers = await ask(question, options.from, command, terminal)
    const allow = answers.every(({ verdict }) => verdict.allow)
    const by = (answers.find(({ verdict }) => !verdict.allow) ?? answers.at(-1)!).verdict.by
    if (options.output === 'json')
      terminal.out(JSON.stringify({ schema: 1, allow, by, nodes: answers }, null, 2))
    else terminal.out(text(answers, allow, by, terminal))
    if (options.exitCode && !allow) ended(DENIED)
  })
}

/** The answers of all nodes that the packet passes, the sender's first. */
async function ask(
  question: ExplainQuestion,
  from: string,
  command: Command,
  terminal: Terminal,
): Promise<ExplainAnswer[]> {
  const sources = await commandSources(command, terminal)
  const { settings } = resolveSettings(sources)
  if (from === 'agent') return [await new AgentClient(settings.runDir).explain(question)]
  const [{ treeFrom }, { OfflineCluster }, { explain }, { readHostTraits, renderOptions }] =
    await Promise.all([
      import('./tree-origin.ts'),
      import('./offline-cluster.ts'),
      import('../runtime/explain.ts'),
      import('../runtime/render-options.ts'),
    ])
  const cluster = new OfflineCluster(await treeFrom(from, settings))
  const owners = [question.source, question.destination].map(side => hostsOf(side, cluster))
  const hosts = [...new Set(owners.flat())]
  if (hosts.length === 0) hosts.push(settings.hostName)
  const traits = from === 'etcd' ? await readHostTraits() : null
  return hosts.map(host => {
    const flags = new Map(sources.flags).set('hostName', host)
    const hosted = resolveSettings({ ...sources, flags, store: cluster.config() })
    const own = host === settings.hostName
    return explain(question, {
      host,
      view: cluster.engine(host),
      render: own && traits !== null ? renderOptions(hosted.settings, traits) : null,
      settings: hosted.settings,
      addresses: own && from === 'etcd' ? [...nodeAddresses()] : [],
      addressesOf: id => cluster.addressesOf(id),
      revision: cluster.revision,
    })
  })
}

function hostsOf(side: string, cluster: { hostsOf(idOrAddress: string): string[] }): string[] {
  const hosts = cluster.hostsOf(canonicalAddress(side) ?? side)
  if (hosts.length === 0 && side !== 'node' && canonicalAddress(side) === null)
    throw new PodfenceError('USAGE', `${side} is neither an address nor a workload endpoint.`, {
      next: '`podfence get workloadendpoints` lists them; an id is HOST/ORCHESTRATOR/WORKLOAD/ENDPOINT.',
    })
  return hosts
}

function text(answers: readonly ExplainAnswer[], allow: boolean, by: string, terminal: Terminal): string {
  const head = allow ? terminal.paint('green', 'allowed') : terminal.paint('red', 'denied')
  const { packet } = answers[0]!
  const lines = [`${head} by ${oneLine(by)}: ${packet.source} to ${packet.destination}`]
  for (const { host, verdict, revision } of answers) {
    const at = revision === null ? '' : `, revision ${revision}`
    lines.push('', `on ${host}${at}: ${verdict.allow ? 'allowed' : 'denied'} by ${oneLine(verdict.by)}`)
    const rows = verdict.trail.map(({ at, what }) => [`  ${at}`, what])
    if (rows.length > 0) lines.push(table(['  AT', 'WHAT'], rows))
  }
  return lines.join('\n')
}
