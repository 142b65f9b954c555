import { PodfenceError } from '../errors.ts'
import { formatCidr } from '../model/cidr.ts'
import { formatPort } from '../model/port.ts'
import { protocolName } from '../model/protocol.ts'
import type {
  EffectiveMatch,
  EffectiveRule,
  LocalEndpoint,
  PolicyDelta,
  PolicyStack,
  RuleList,
} from '../policy/outcome.ts'
import type { RenderOptions } from '../render/options.ts'
import { printDelta } from '../render/print.ts'
import { Renderer } from '../render/renderer.ts'
import { suggestion } from './nearest.ts'

/** The stages of the flow that `render` prints. */
export const STAGES = ['text', 'rules', 'gate'] as const
export type Stage = (typeof STAGES)[number]

/** Throws USAGE for a word that is no stage. */
export function stageNamed(word: string): Stage {
  const stage = STAGES.find(candidate => candidate === word)
  if (stage !== undefined) return stage
  throw new PodfenceError(
    'USAGE',
    `${word} is no stage; there are ${STAGES.join(', ')}.${suggestion(word, STAGES)}`,
  )
}

/**
 * `text`: what the kernel's tools would get on an empty kernel. `rules`: what policy computed, in words.
 * `gate`: the closed gate of before the first sync. `whole` is the engine's whole state.
 */
export function stageText(stage: Stage, whole: () => PolicyDelta, options: RenderOptions): string {
  if (stage === 'rules') return rulesText(whole())
  const renderer = new Renderer(options)
  const delta = stage === 'gate' ? renderer.gate() : renderer.render(whole())
  return printDelta(delta)
}

function rulesText({ endpoints, lists, sets }: PolicyDelta): string {
  const blocks = [
    ...[...endpoints].sort(byId).map(([, endpoint]) => endpointText(endpoint!)),
    ...[...lists].sort(byId).map(([id, list]) => listText(id, list!)),
    ...[...sets].sort(byId).map(([id, { added }]) => {
      const members = added.map(({ address }) => address).sort()
      return [`set ${id}`, ...members.map(address => `  ${address}`)].join('\n')
    }),
  ]
  return `${blocks.join('\n\n')}\n`
}

function byId([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

function endpointText(endpoint: LocalEndpoint): string {
  const { id, mac, closed, addresses4, addresses6, ingress, egress } = endpoint
  const facts = [
    endpoint.interface ?? '?',
    ...(mac === null ? [] : [mac]),
    ...addresses4,
    ...addresses6,
  ].join(' ')
  if (closed !== null) return `endpoint ${id}\n  ${facts}\n  closed: ${closed}`
  return [
    `endpoint ${id}`,
    `  ${facts}`,
    ...stackText('ingress', ingress),
    ...stackText('egress', egress),
  ].join('\n')
}

function stackText(side: string, { tiers, profiles }: PolicyStack): string[] {
  return [
    ...tiers.map(({ name, lists }) => `  ${side} tier ${name}: ${lists.join(', ')}`),
    `  ${side} profiles: ${profiles.join(', ') || 'none'}`,
  ]
}

function listText(id: string, { rules, closed }: RuleList): string {
  if (closed !== null) return `list ${id}\n  closed: ${closed}`
  return [`list ${id}`, ...rules.map(rule => `  ${ruleText(rule)}`)].join('\n')
}

function ruleText({ action, families, is, not, logPrefix, index }: EffectiveRule): string {
  const words = [`${index + 1}:`, action, ...matchWords(is), ...matchWords(not).map(word => `not ${word}`)]
  if (logPrefix !== undefined) words.push(`prefix ${logPrefix}`)
  if (families.length === 1) words.push(`(IPv${families[0]} only)`)
  return words.join(' ')
}

/** One word group per match, so that `not` can stand before each. */
function matchWords(match: EffectiveMatch): string[] {
  const side = (name: string, ...[net, sets, ports]: SideParts) => [
    ...(net === undefined ? [] : [`${name} ${formatCidr(net)}`]),
    ...(sets ?? []).map(set => `${name} ${set}`),
    ...(ports === undefined ? [] : [`${name} ports ${ports.map(formatPort).join(',')}`]),
  ]
  const icmp = match.icmpType === undefined ? [] : [`type ${match.icmpType}${code(match.icmpCode)}`]
  return [
    ...(match.protocol === undefined ? [] : [protocolName(match.protocol)]),
    ...icmp,
    ...side('from', match.srcNet, match.srcSets, match.srcPorts),
    ...side('to', match.dstNet, match.dstSets, match.dstPorts),
  ]
}

type SideParts = [EffectiveMatch['srcNet'], EffectiveMatch['srcSets'], EffectiveMatch['srcPorts']]

function code(icmpCode: number | undefined): string {
  return icmpCode === undefined ? '' : ` code ${icmpCode}`
}
