import { PodfenceError } from '../errors.ts'
import type { Family } from '../model/values.ts'
import { markText } from './mark.ts'
import type { Match } from './match.ts'
import { COMMENT_BYTES, isPlain, NFLOG_PREFIX_BYTES, quoted, safeText } from './safe-text.ts'

/** Targets as iptables-save 1.8.9 prints them; see match.ts. */

export const ACCEPT = '-j ACCEPT'
export const DROP = '-j DROP'
export const RETURN = '-j RETURN'

export function jump(chain: string): string {
  return `-j ${chain}`
}

/** Like a jump, but what follows in this chain is never reached: a return goes to the last jump. */
export function goto(chain: string): string {
  return `-g ${chain}`
}

/** Sets the bits of `value` and clears the other bits of `mask`. */
export function setMark(value: number, mask: number): string {
  return `-j MARK --set-xmark ${markText(value)}/${markText(mask)}`
}

/** NFLOG and not LOG: LOG is silent in every network namespace but the first. */
export function nflog(group: number, prefix: string): string {
  const text = quoted(safeText(prefix, NFLOG_PREFIX_BYTES))
  return `-j NFLOG --nflog-prefix ${text}${group === 0 ? '' : ` --nflog-group ${group}`}`
}

/**
 * The words of one rule after `-A CHAIN `, in the order of iptables-save.
 * @throws PodfenceError KERNEL_REFUSED on a control character: a newline would end the transaction.
 */
export function rule(matches: readonly Match[], target: string): string {
  const ordered = matches.length < 2 ? matches : [...matches].sort((a, b) => a.place - b.place)
  let text = ''
  for (const match of ordered) text += `${match.text} `
  text += target
  if (!isPlain(text))
    throw new PodfenceError('KERNEL_REFUSED', `a rule with a control character: ${JSON.stringify(text)}`)
  return text
}

/** No packet has such a source: limited broadcast, multicast. */
const NO_SOURCE: Readonly<Record<Family, string>> = { 4: '-s 255.255.255.255/32', 6: '-s ff00::/8' }

/**
 * The rule without a target that opens every chain: what the chain is, and the hash of the rules below it. The
 * source is one that no packet has, so that packets are through with it at once: on nft a comment that is
 * looked at costs 70 ns, an address 3.
 */
export function heading(family: Family, hash: string, title: string): string {
  const text = safeText(`podf:${hash.slice(0, 16)}:${title}`, COMMENT_BYTES)
  return `${NO_SOURCE[family]} -m comment --comment "${text}"`
}
