import { Command, Option } from 'commander'
import { PodfenceError } from '../errors.ts'
import { canonicalAddress } from '../model/cidr.ts'
import type { ExplainAnswer, ExplainQuestion } from '../runtime/explain.ts'
import { nodeAddresses } from '../runtime/node-addresses.ts'
import { resolveSettings } from '../runtime/settings.ts'
import { AgentClient } from './agent-client.ts'
import { answerLines } from './batch.ts'
import { ENGINES, type EngineName } from './offline-node.ts'
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
  readonly batch?: true
  readonly engine: EngineName
  readonly exitCode?: true
  readonly output: string
}

export function command(terminal: Terminal, ended: (exitCode: number) => void): Command {
  const command = new Command('explain')
    .description(
      "Tells whether a connection's first packet passes, what decides it, and every step on the way. " +
        'It is judged as the packet path sees it: before SNAT, after DNAT.',
    )
    .argument('[source]', 'an address, the id of a workload endpoint, NAMESPACE/POD, or node')
    .argument('[destination]', 'an address, the id of a workload endpoint, NAMESPACE/POD, or node')
    .option('-p, --port <protocol/port>', 'tcp/80, udp/53, icmp/8/0', 'tcp/80')
    .option('--source-port <port>', 'source port, for rules that ask for it')
    .option('--from <where>', 'agent, etcd, or a directory of objects', 'agent')
    .option(
      '--batch',
      'from a directory of Kubernetes objects: one JSON question a line from stdin, one answer a line',
    )
    .addOption(
      new Option(
        '--engine <engine>',
        'with --batch: policy as computed, or the packet walked through the rendered rules',
      )
        .choices(ENGINES)
        .default('policy'),
    )
    .option('--exit-code', `end with ${DENIED} when it is denied`)
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(command).action(async (source: string, destination: string, options: Options) => {
    if (options.batch) return await answerBatch(options, command, terminal)
    if (source === undefined || destination === undefined)
      throw new PodfenceError('USAGE', 'Give a source and a destination, or --batch.')
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

/** Questions such as `{"from":"ns/pod","to":"ext:192.0.2.1","family":"IPv4","protocol":"TCP","port":80}`. */
async function answerBatch(options: Options, command: Command, terminal: Terminal): Promise<void> {
  if (options.from === 'agent' || options.from === 'etcd')
    throw new PodfenceError('USAGE', '--batch asks a directory of Kubernetes objects: name it with --from.')
  const { settings } = resolveSettings(await commandSources(command, terminal))
  const [{ worldFrom }, { worldQuestion }] = await Promise.all([
    import('./world-origin.ts'),
    import('./kubernetes-world.ts'),
  ])
  const world = await worldFrom(options.from, settings, terminal)
  await answerLines(terminal, given => {
    try {
      const { trail: _, ...answer } = world.verdict(worldQuestion(given), options.engine)
      return answer
    } catch (error) {
      if (error instanceof PodfenceError) return { error: { message: error.message } }
      throw error
    }
  })
}

/** The answers of all nodes that the packet passes, the sender's first. */
async function ask(
  asked: ExplainQuestion,
  from: string,
  command: Command,
  terminal: Terminal,
): Promise<ExplainAnswer[]> {
  const sources = await commandSources(command, terminal)
  const { settings } = resolveSettings(sources)
  if (from === 'agent') return [await new AgentClient(settings.runDir).explain(asked)]
  const [{ treeFrom }, { OfflineCluster }, { explain }, { readHostTraits, renderOptions }] =
    await Promise.all([
      import('./tree-origin.ts'),
      import('./offline-cluster.ts'),
      import('../runtime/explain.ts'),
      import('../runtime/render-options.ts'),
    ])
  const cluster = new OfflineCluster(await treeFrom(from, settings))
  const question = {
    ...asked,
    source: cluster.idOf(asked.source),
    destination: cluster.idOf(asked.destination),
  }
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
