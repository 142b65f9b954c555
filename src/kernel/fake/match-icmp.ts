import type { Family } from '../../model/values.ts'
import { parseIcmp } from '../ipset/icmp-names.ts'
import { type MatchExtension, show } from './extension.ts'
import { readNumber } from './number.ts'
import { need } from './packet.ts'
import { usage } from './tool.ts'

/** Matches on ICMP type and code, and on hop limit or TTL. */

/** Names that stand for a type with every code. */
const TYPES: readonly Readonly<Record<string, number>>[] = [
  { 'echo-reply': 0, 'destination-unreachable': 3, redirect: 5, 'echo-request': 8, 'time-exceeded': 11 },
  {
    'destination-unreachable': 1,
    'packet-too-big': 2,
    'time-exceeded': 3,
    'echo-request': 128,
    'echo-reply': 129,
  },
]

/** In IPv4 type 255 is "any", whatever the code; in IPv6 it is a type like others. */
function readIcmp(text: string, family: Family): { type: number; code: number | null } | 'any' {
  if (family === 4 && text === 'any') return 'any'
  const named = TYPES[family === 4 ? 0 : 1]![text]
  if (named !== undefined) return { type: named, code: null }
  const slash = text.indexOf('/')
  const type = readNumber(slash < 0 ? text : text.slice(0, slash), 255)
  if (type === null) {
    const pair = parseIcmp(text, family)
    if (pair === null) throw usage(`Unknown ICMP type \`${text}'`)
    return { type: pair[0], code: pair[1] }
  }
  const code = slash < 0 ? null : readNumber(text.slice(slash + 1), 255)
  if (slash >= 0 && code === null) throw usage(`Unknown ICMP code \`${text}'`)
  return family === 4 && type === 255 ? 'any' : { type, code }
}

function icmpMatch(family: Family): MatchExtension {
  const name = family === 4 ? '--icmp-type' : '--icmpv6-type'
  return {
    families: [family],
    protocols: [family === 4 ? 1 : 58],
    options: { [name]: true },
    load: options => {
      const option = options.must(name)
      const icmp = readIcmp(option.args[0]!, family)
      if (icmp === 'any')
        return {
          text: show(option, 'any'),
          test: seen => (seen.packet.laterFragment !== true) !== option.not,
        }
      const { type, code } = icmp
      return {
        text: show(option, code === null ? String(type) : `${type}/${code}`),
        test: seen => {
          if (seen.packet.laterFragment === true) return false
          const matches =
            need(seen, 'icmpType') === type && (code === null || need(seen, 'icmpCode') === code)
          return matches !== option.not
        },
      }
    },
  }
}

function hopMatch(module: 'hl' | 'ttl'): MatchExtension {
  const names = { eq: `--${module}-eq`, lt: `--${module}-lt`, gt: `--${module}-gt` }
  return {
    families: [module === 'hl' ? 6 : 4],
    options: { [names.eq]: true, [names.lt]: false, [names.gt]: false },
    load: options => {
      const [name, second] = options.names
      if (name === undefined || second !== undefined)
        throw usage(`${module}: You must specify one of \`${names.eq}', \`${names.lt}', \`${names.gt}`)
      const option = options.must(name)
      const limit = readNumber(option.args[0]!, 255)
      if (limit === null) throw usage(`${module}: bad value for option "${name}", or out of range (0-255).\n`)
      return {
        text: show(option, String(limit)),
        test: seen => {
          const hops = need(seen, 'hopLimit')
          if (name === names.lt) return hops < limit
          return name === names.gt ? hops > limit : (hops === limit) !== option.not
        },
      }
    },
  }
}

export const ICMP_MATCHES: Readonly<Record<string, MatchExtension>> = {
  hl: hopMatch('hl'),
  icmp: icmpMatch(4),
  icmp6: icmpMatch(6),
  ttl: hopMatch('ttl'),
}
