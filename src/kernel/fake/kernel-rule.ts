import type { Family } from '../../model/values.ts'
import { type ParsedMatch, type ParsedTarget, parseRule, RuleTextError } from '../iptables-parser/rule.ts'
import { type LoadContext, type LoadedMatch, Options, type Placement, type Test } from './extension.ts'
import { loadHeader } from './header.ts'
import { MATCH_EXTENSIONS } from './matches.ts'
import type { SetStore } from './set-store.ts'
import { isVerdict, type LoadedTarget, loadTarget } from './targets.ts'
import { type Backend, ToolFailure, usage } from './tool.ts'

export type RuleTarget =
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'act'; readonly act: LoadedTarget['act'] }

/** A rule as the kernel holds it. */
export interface KernelRule {
  /** What iptables-save prints after `-A CHAIN `. */
  readonly text: string
  readonly tests: readonly Test[]
  readonly target: RuleTarget | null
  readonly sets: readonly string[]
  readonly placements: readonly Placement[]
  /** Why the kernel will not take it; null: it will. */
  readonly refused: string | null
}

export interface RuleSurroundings {
  readonly family: Family
  readonly backend: Backend
  readonly sets: SetStore
  readonly chain: (name: string) => 'own' | 'built-in' | undefined
}

const LONGEST_TARGET = 28

/** A rule's words as the kernel would hold them. Throws ToolFailure, in the words of the real tool. */
export function compileRule(words: readonly string[], around: RuleSurroundings): KernelRule {
  const parsed = readWords(words)
  const header = loadHeader(parsed.packet, around.family)
  const { family, sets } = around
  let refused: string | null = null
  const refuse = (reason: string): void => {
    refused ??= reason
  }
  const context: LoadContext = { family, sets, protocol: header.protocol, refuse }
  if (header.matchesNothing && around.backend === 'nft') refuse('Invalid argument')
  const matches = parsed.matches.map(match => ({ match, loaded: loadMatch(match, context, around) }))
  const text = [...header.text]
  const tests = [...header.tests]
  const placements: Placement[] = []
  for (const { match, loaded } of matches) {
    text.push(`-m ${match.module}`, loaded.text)
    tests.push(loaded.test)
    if (loaded.placement !== undefined) placements.push({ what: match.module, ...loaded.placement })
  }
  let target: RuleTarget | null = null
  let onlyLogs = true
  if (parsed.target !== null) {
    const loaded = compileTarget(parsed.target, context, around)
    target = loaded.target
    text.push(`-${parsed.target.verb === 'jump' ? 'j' : 'g'} ${parsed.target.name}`, loaded.text)
    if (loaded.placement !== undefined) placements.push({ what: parsed.target.name, ...loaded.placement })
    onlyLogs = loaded.onlyLogs
  }
  if (!onlyLogs && parsed.matches.some(match => match.module === 'limit')) tests.push(refuseLimit)
  return {
    text: text.filter(part => part !== '').join(' '),
    tests,
    target,
    sets: matches.flatMap(({ loaded }) => loaded.sets ?? []),
    placements,
    refused,
  }
}

function refuseLimit(): boolean {
  throw new TypeError('a rate limit that decides a verdict cannot be walked')
}

function readWords(words: readonly string[]): ReturnType<typeof parseRule> {
  try {
    return parseRule(words)
  } catch (error) {
    throw error instanceof RuleTextError ? usage(error.message) : error
  }
}

function loadMatch(match: ParsedMatch, context: LoadContext, around: RuleSurroundings): LoadedMatch {
  const extension = MATCH_EXTENSIONS.get(match.module)
  if (extension === undefined || extension.families?.includes(context.family) === false)
    throw usage(`Couldn't load match \`${match.module}':No such file or directory\n`)
  const { protocols } = extension
  const loaded = extension.load(new Options(match.module, match.options, extension.options), context)
  const { protocol } = context
  if (
    protocols !== undefined &&
    (protocol === null || protocol.not || !protocols.includes(protocol.number))
  ) {
    if (match.module === 'tcp' && around.backend === 'nft') throw usage("TCP match requires '-p tcp'")
    context.refuse('Invalid argument')
  }
  return loaded
}

interface CompiledTarget {
  readonly text: string
  readonly target: RuleTarget
  readonly placement?: LoadedTarget['placement']
  readonly onlyLogs: boolean
}

function compileTarget(target: ParsedTarget, context: LoadContext, around: RuleSurroundings): CompiledTarget {
  const { name, verb } = target
  if (name.length > LONGEST_TARGET)
    throw usage(`Invalid target name \`${name}' (${LONGEST_TARGET} chars max)`)
  const chain = isVerdict(name) ? undefined : around.chain(name)
  if (chain === 'built-in' && around.backend === 'legacy') throw new ToolFailure('line', '')
  if (chain === 'built-in') context.refuse('Operation not supported')
  if (chain !== undefined) {
    const stray = target.options[0]
    if (stray !== undefined) throw usage(`unknown option "${stray.name}"`)
    return { text: '', target: { kind: verb, chain: name }, onlyLogs: false }
  }
  const loaded = verb === 'goto' ? null : loadTarget(target, context)
  if (loaded === null) throw noChain(target, around.backend)
  const { text, act, placement, onlyLogs = false } = loaded
  return { text, target: { kind: 'act', act }, onlyLogs, ...(placement === undefined ? {} : { placement }) }
}

/** nft finds out when it commits, and then blames the COMMIT. */
export class NoSuchChain extends ToolFailure {}

function noChain({ verb, name }: ParsedTarget, backend: Backend): ToolFailure {
  if (backend === 'nft') return new NoSuchChain('usage', `Chain '${name}' does not exist`)
  return usage(
    verb === 'goto'
      ? `goto '${name}' is not a chain`
      : `Couldn't load target \`${name}':No such file or directory\n`,
  )
}
