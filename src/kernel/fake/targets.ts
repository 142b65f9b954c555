import type { Family } from '../../model/values.ts'
import type { ParsedTarget } from '../iptables-parser/rule.ts'
import { type LoadContext, Options, type Placement } from './extension.ts'
import { LOG_FLAGS, loadLog, loadNflog } from './log-targets.ts'
import { hex, readMarkMask } from './number.ts'
import type { Seen } from './packet.ts'
import { usage } from './tool.ts'

/** What a target does to the packet, and how the trail tells it. */
export interface Effect {
  readonly kind: 'accept' | 'drop' | 'return' | 'continue'
  readonly told: string
}

export interface LoadedTarget {
  readonly text: string
  readonly act: (seen: Seen) => Effect
  readonly placement?: Omit<Placement, 'what'>
  /** It decides nothing, so a rate limit before it decides nothing either. */
  readonly onlyLogs?: boolean
}

export type TargetLoader = (options: Options, context: LoadContext) => LoadedTarget

interface TargetExtension {
  readonly options: Readonly<Record<string, boolean>>
  readonly load: TargetLoader
}

const VERDICTS: ReadonlyMap<string, Effect['kind']> = new Map([
  ['ACCEPT', 'accept'],
  ['DROP', 'drop'],
  ['RETURN', 'return'],
])

/** Targets of nobody's chain that stand for themselves. */
export function isVerdict(name: string): boolean {
  return VERDICTS.has(name) || name === 'QUEUE'
}

function plain(names: readonly string[]): Record<string, boolean> {
  return Object.fromEntries(names.map(name => [name, false]))
}

const MARKS: Readonly<Record<string, (value: number, mask: number) => { value: number; mask: number }>> = {
  '--set-xmark': (value, mask) => ({ value, mask }),
  '--set-mark': (value, mask) => ({ value, mask: value | mask }),
  '--or-mark': value => ({ value, mask: value }),
  '--and-mark': value => ({ value: 0, mask: ~value }),
  '--xor-mark': value => ({ value, mask: 0 }),
}

const loadMark: TargetLoader = options => {
  const [name, second] = options.names
  if (name === undefined)
    throw usage('MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required')
  if (second !== undefined) throw usage(`MARK: option "${name}" cannot be used together with "${second}".\n`)
  const given = readMarkMask(options.must(name).args[0]!)
  if (given === null) throw usage(`MARK: bad integer value for option "${name}", or out of range.\n`)
  const { value, mask } = MARKS[name]!(given.value, given.mask)
  const text = `--set-xmark ${hex(value)}/${hex(mask)}`
  return {
    text,
    act: seen => {
      seen.mark = ((seen.mark & ~mask) ^ value) >>> 0
      return { kind: 'continue', told: `mark ${hex(seen.mark)}` }
    },
  }
}

const REJECTIONS: Readonly<Record<Family, readonly string[]>> = {
  4: [
    'icmp-port-unreachable',
    'icmp-host-unreachable',
    'icmp-net-unreachable',
    'icmp-admin-prohibited',
    'tcp-reset',
  ],
  6: [
    'icmp6-port-unreachable',
    'icmp6-addr-unreachable',
    'icmp6-no-route',
    'icmp6-adm-prohibited',
    'tcp-reset',
  ],
}

const loadReject: TargetLoader = (options, context) => {
  const answer = options.get('--reject-with')?.args[0] ?? REJECTIONS[context.family][0]!
  if (!REJECTIONS[context.family].includes(answer)) throw usage(`unknown reject type "${answer}"`)
  if (answer === 'tcp-reset' && (context.protocol?.number !== 6 || context.protocol.not))
    context.refuse('Invalid argument')
  return {
    text: `--reject-with ${answer}`,
    placement: { tables: ['filter'], hooks: ['INPUT', 'FORWARD', 'OUTPUT'] },
    act: () => ({ kind: 'drop', told: `REJECT ${answer}` }),
  }
}

const TARGET_EXTENSIONS: ReadonlyMap<string, TargetExtension> = new Map([
  ['MARK', { options: plain(Object.keys(MARKS)), load: loadMark }],
  [
    'NFLOG',
    {
      options: plain(['--nflog-group', '--nflog-prefix', '--nflog-size', '--nflog-threshold']),
      load: loadNflog,
    },
  ],
  ['LOG', { options: plain(['--log-prefix', '--log-level', ...LOG_FLAGS]), load: loadLog }],
  ['REJECT', { options: plain(['--reject-with']), load: loadReject }],
])

/** What neighbours write: kept and printed as given, but no packet can be walked through it. */
const OPAQUE: ReadonlyMap<string, Omit<Placement, 'what'>> = new Map([
  ['CONNMARK', {}],
  ['CT', { tables: ['raw'] }],
  ['DNAT', { tables: ['nat'] }],
  ['MASQUERADE', { tables: ['nat'] }],
  ['NFQUEUE', {}],
  ['REDIRECT', { tables: ['nat'] }],
  ['SNAT', { tables: ['nat'] }],
  ['TCPMSS', {}],
])

/** A target that is no chain; null when the fake has no such target. Throws ToolFailure. */
export function loadTarget(target: ParsedTarget, context: LoadContext): LoadedTarget | null {
  const kind = VERDICTS.get(target.name)
  if (kind !== undefined) {
    const stray = target.options[0]
    if (stray !== undefined) throw usage(`unknown option "${stray.name}"`)
    return { text: '', act: () => ({ kind, told: target.name }) }
  }
  const extension = TARGET_EXTENSIONS.get(target.name)
  if (extension !== undefined)
    return extension.load(new Options(target.name, target.options, extension.options), context)
  const placement = OPAQUE.get(target.name)
  if (placement === undefined) return null
  const stray = target.options.find(option => !option.known)
  if (stray !== undefined) throw usage(`unknown option "${stray.name}"`)
  return {
    text: target.options
      .map(option => [option.not ? '!' : [], option.name, option.args].flat(2).join(' '))
      .join(' '),
    placement,
    act: () => {
      throw new TypeError(`the fake does not walk through the target ${target.name}`)
    },
  }
}
