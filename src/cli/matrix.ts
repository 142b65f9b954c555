import { Command, Option } from 'commander'
import { PodfenceError } from '../errors.ts'
import { resolveSettings } from '../runtime/settings.ts'
import type { KubernetesWorld, WorldQuestion } from './kubernetes-world.ts'
import { ENGINES, type EngineName } from './offline-node.ts'
import { outputOption } from './output.ts'
import { packetSpec } from './packet-spec.ts'
import { addSettingFlags, commandSources } from './setting-flags.ts'
import type { Terminal } from './terminal.ts'

interface Options {
  readonly from: string
  readonly port?: readonly string[]
  readonly family: string
  readonly ext?: readonly string[]
  readonly engine: EngineName
  readonly output: string
}

type Asked = Pick<WorldQuestion, 'protocol' | 'port'>

/** One port's grid: a row for whoever sends, a letter for whom it reaches. */
interface Grid extends Asked {
  readonly family: WorldQuestion['family']
  readonly places: readonly string[]
  /** null: one side has no address of the family. */
  readonly allow: readonly (readonly (boolean | null)[])[]
}

const PROTOCOLS = new Map([
  [6, 'TCP'],
  [17, 'UDP'],
  [132, 'SCTP'],
] as const)

export function command(terminal: Terminal): Command {
  const matrix = new Command('matrix')
    .description(
      'Who reaches whom among the pods of a directory of Kubernetes objects: a grid for each port, `.` passes, `X` is dropped, ' +
        '`-` has no address of the family. It needs no cluster and no root.',
    )
    .requiredOption('--from <directory>', 'what `kubectl get -o yaml` prints')
    .option(
      '-p, --port <protocol/port...>',
      'tcp/80, udp/53 (default: the ports of the containers, or tcp/80)',
    )
    .addOption(new Option('--family <family>', 'of the addresses').choices(['4', '6']).default('4'))
    .option('--ext <address...>', 'addresses outside of the cluster, in the grid too')
    .addOption(new Option('--engine <engine>', 'who is asked').choices(ENGINES).default('policy'))
    .addOption(outputOption('table', 'json'))
  return addSettingFlags(matrix).action(async (options: Options) => {
    const { settings } = resolveSettings(await commandSources(matrix, terminal))
    const { worldFrom } = await import('./world-origin.ts')
    const world = await worldFrom(options.from, settings, terminal)
    const family = options.family === '6' ? 'IPv6' : 'IPv4'
    const places = [...world.pods(), ...(options.ext ?? []).map(address => `ext:${address}`)]
    const given = options.port ?? world.ports()
    const grids = (given.length > 0 ? given : ['tcp/80'])
      .map(asked)
      .map(port => grid(world, places, { ...port, family }, options.engine))
    if (options.output === 'json') terminal.out(JSON.stringify({ schema: 1, grids }, null, 2))
    else terminal.out(grids.map(gridText).join('\n\n'))
  })
}

function asked(text: string): Asked {
  const { protocol, destinationPort } = packetSpec(text, undefined)
  const name = PROTOCOLS.get(protocol as 6)
  if (name !== undefined && destinationPort !== undefined) return { protocol: name, port: destinationPort }
  throw new PodfenceError(
    'USAGE',
    `--port ${text}: a grid is of a port, such as tcp/80, udp/53 or sctp/9899.`,
  )
}

function grid(
  world: KubernetesWorld,
  places: readonly string[],
  question: Pick<Grid, 'protocol' | 'port' | 'family'>,
  engine: EngineName,
): Grid {
  const allow = places.map(from =>
    places.map(to => {
      if (!world.has(from, question.family) || !world.has(to, question.family)) return null
      return world.verdict({ ...question, from, to }, engine).allow
    }),
  )
  return { ...question, places, allow }
}

function gridText({ protocol, port, family, places, allow }: Grid): string {
  const wide = String(places.length).length
  const widest = Math.max(...places.map(({ length }) => length), 'from \\ to'.length - wide - 1)
  const head = places.map((_, at) => String(at + 1).padStart(wide))
  const signs = new Map<boolean | null, string>([
    [true, '.'],
    [false, 'X'],
    [null, '-'],
  ])
  return [
    `${protocol} port ${port}, ${family}`,
    `${'from \\ to'.padEnd(wide + 1 + widest)} ${head.join(' ')}`,
    ...places.map((place, at) => {
      const cells = allow[at]!.map(cell => signs.get(cell)!.padStart(wide))
      return `${String(at + 1).padStart(wide)} ${place.padEnd(widest)} ${cells.join(' ')}`
    }),
  ].join('\n')
}
