import { ACCEPT, DROP, nflog, RETURN, rule } from './action.ts'
import { type Marks, marksOf } from './mark.ts'
import { limit, type Match } from './match.ts'
import type { RenderOptions } from './options.ts'
import { rateText } from './rate.ts'

/** The options, worked out once: what every part of the text is made with. */
export interface Style {
  readonly options: RenderOptions
  readonly marks: Marks
  /** What FORWARD does with an allowed packet. */
  readonly allowed: string
  readonly bridges: readonly string[]
  /** Each prefix as `cali+`. */
  readonly routed: readonly string[]
  /** All workload interfaces as iptables takes them. Bridges first: a bridge's name may start with a workload prefix. */
  readonly gates: readonly string[]
}

/** @throws PodfenceError CONFIG_INVALID when the mark mask is too small. */
export function styleOf(options: RenderOptions): Style {
  const bridges = [...new Set(options.bridges)]
  const routed = [...new Set(options.interfacePrefixes)].map(prefix => `${prefix}+`)
  return {
    options,
    marks: marksOf(options.markMask),
    allowed: options.onAllow === 'accept' ? ACCEPT : RETURN,
    bridges,
    routed,
    gates: [...bridges, ...routed],
  }
}

/** Drops what matches; with the drop log on, tells of it first, at most so often a second. */
export function dropRules(style: Style, matches: readonly Match[], place: string): string[] {
  const drop = rule(matches, DROP)
  return style.options.dropLog.enabled ? [logRule(style, matches, `podf:D:${place}`), drop] : [drop]
}

/** Tells NFLOG of what matches, at most so often a second. */
export function logRule(style: Style, matches: readonly Match[], prefix: string): string {
  const { group, perSecond } = style.options.dropLog
  return rule([...matches, limit(rateText(perSecond))], nflog(group, prefix))
}
