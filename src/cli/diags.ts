import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { PodfenceError } from '../errors.ts'
import { toolName } from '../kernel/backend.ts'
import { readLegacyTables } from '../kernel/legacy-tables.ts'
import { type Processes, systemProcesses } from '../kernel/process.ts'
import { FAMILIES } from '../model/values.ts'
import { CONFIG_VARIABLE, environmentLayer, fileLayer } from '../runtime/setting-layers.ts'
import { type SettingName, variableOf } from '../runtime/setting-table.ts'
import { addSettingFlags, commandSources, fileless } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

/** What other programs say of this host: a file's name and the command. Nothing here changes anything. */
const COMMANDS: readonly (readonly [file: string, program: string, ...args: string[]])[] = [
  ['kernel', 'uname', '-a'],
  ['modules', 'lsmod'],
  ['links', 'ip', '-details', 'address'],
  ['routes4', 'ip', '-4', 'route', 'show', 'table', 'all'],
  ['routes6', 'ip', '-6', 'route', 'show', 'table', 'all'],
  [
    'sysctls',
    'sysctl',
    '--all',
    '--pattern',
    '^net\\.(bridge|netfilter|ipv4\\.ip_forward|ipv6\\.conf\\.all)',
  ],
  ['ipsets', 'ipset', 'save'],
  ['nft', 'nft', '--terse', 'list', 'ruleset'],
  ['conntrack', 'conntrack', '-S'],
  ['units', 'systemctl', 'status', 'podfence-*', '--no-pager', '--lines=0'],
  ['journal', 'journalctl', '--unit=podfence-*', '--lines=5000', '--no-pager'],
]

/** What podfence itself says. */
const VERBS = [
  ['version'],
  ['check', '-o', 'json'],
  ['config', '-o', 'json'],
  ['status', '-o', 'json'],
  ['render', '--stage', 'text'],
] as const

interface Options {
  readonly file?: string
  readonly config?: string
  readonly runDir?: string
}

export function command(terminal: Terminal): Command {
  const diags = new Command('diags')
    .description(
      'Writes an archive for a bug report: what podfence and this host say of themselves, rules, sets and journal. Secrets of the ' +
        'settings are taken out of every text; addresses and names of workloads stay.',
    )
    .option('--file <file>', 'the archive to write; podfence-diags-TIME.tar.gz here when left out')
  return addSettingFlags(diags, ['runDir']).action(async (options: Options) => {
    const time = new Date().toISOString().replaceAll(/[-:]|\..*/g, '')
    const name = `podfence-diags-${time}`
    const archive = resolve(options.file ?? `${name}.tar.gz`)
    const processes = systemProcesses()
    const place = await mkdtemp(join(tmpdir(), 'podfence-diags-'))
    const asked = { ...terminal, env: { ...terminal.env, ...variables(options) } }
    try {
      await mkdir(join(place, name))
      const hide = hiding(await secretsOf(diags, terminal))
      const keep = (entry: string, text: string) => writeFile(join(place, name, `${entry}.txt`), hide(text))
      for (const [verb, ...args] of VERBS)
        await keep(`podfence-${verb}`, await ownWords([verb, ...args], asked))
      for (const [entry, program, ...args] of [...COMMANDS, ...(await saveCommands())])
        await keep(entry, await words(processes, program, args))
      await writeFile(archive, '', { mode: 0o600 })
      const { code, stderr } = await processes.run('tar', ['-czf', archive, '-C', place, name])
      if (code !== 0)
        throw new PodfenceError('PREREQUISITE_MISSING', `tar cannot write ${archive}: ${stderr.trim()}`)
    } finally {
      await rm(place, { recursive: true, force: true })
    }
    terminal.out(archive)
    terminal.note(
      'It names workloads, addresses and labels of this node: look through it before you pass it on.',
    )
  })
}

/** What this verb was told, for all that it asks: not each of them has these flags. */
function variables({ config, runDir }: Options): Record<string, string> {
  return {
    ...(config === undefined ? {} : { [CONFIG_VARIABLE]: config }),
    ...(runDir === undefined ? {} : { [variableOf('runDir')]: runDir }),
  }
}

/** Both backends, but a legacy table only where it is loaded: to ask is to load it. */
async function saveCommands(): Promise<(readonly [string, string])[]> {
  const commands: (readonly [string, string])[] = []
  for (const family of FAMILIES) {
    const legacy = (await readLegacyTables(family)).length > 0
    for (const backend of legacy ? (['nft', 'legacy'] as const) : (['nft'] as const)) {
      const tool = toolName(backend, family, 'save')
      commands.push([tool, tool])
    }
  }
  return commands
}

async function words(processes: Processes, program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr, missing } = await processes.run(program, args)
  const head = `$ ${[program, ...args].join(' ')}`
  return missing ? `${head}\nis not installed\n` : `${head}\n${stdout}${stderr}exit ${code}\n`
}

/** What a verb of podfence prints. */
async function ownWords(args: readonly string[], terminal: Terminal): Promise<string> {
  const { runCommandLine } = await import('./program.ts')
  const lines: string[] = []
  const print = (text: string) => void lines.push(text)
  const paint = (_: unknown, text: string) => text
  const code = await runCommandLine(args, { ...terminal, out: print, note: print, paint, interactive: false })
  return [`$ podfence ${args.join(' ')}`, ...lines, `exit ${code}`, ''].join('\n')
}

/** A shorter line of a secret gives nothing away, and to take it out would spoil every text. */
const SHORTEST_LINE = 4

/**
 * The texts that must not get out, whether they stand in the settings or in a file that those name: of every layer, and also
 * where settings are wrong, which is when an archive is wanted most. Errors show neither a secret nor a file that is not YAML.
 */
async function secretsOf(diags: Command, terminal: Terminal): Promise<string[]> {
  const { env, file } = await commandSources(diags, terminal).catch(() => fileless(diags, terminal))
  const layers = [environmentLayer(env), ...(file === null ? [] : [fileLayer(file.path, file.entries)])]
  const said = (name: SettingName) =>
    layers.map(({ given }) => String(given.get(name)?.raw ?? '').trim()).filter(text => text !== '')
  const files = [...said('etcdPasswordFile'), ...said('k8sAuthTokenFile')]
  const texts = await Promise.all(files.map(name => readFile(name, 'utf8').catch(() => '')))
  // What is no path may be the secret itself.
  const misplaced = files.filter(name => !name.startsWith('/'))
  return [...said('etcdPassword'), ...said('k8sAuthToken'), ...misplaced, ...texts.map(text => text.trim())]
    .flatMap(text => [text, ...text.split('\n').filter(line => line.length >= SHORTEST_LINE)])
    .filter(text => text !== '')
    .sort((one, other) => other.length - one.length)
}

function hiding(secrets: readonly string[]): (text: string) => string {
  return text => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[removed]'), text)
}
