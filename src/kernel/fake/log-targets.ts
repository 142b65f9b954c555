import { quoteWord } from '../iptables-parser/words.ts'
import type { Options } from './extension.ts'
import { readNumber } from './number.ts'
import type { TargetLoader } from './targets.ts'
import { usage } from './tool.ts'

/** legacy cuts a longer prefix; nft holds up to 127. The shorter serves both. */
const NFLOG_PREFIX_LIMIT = 63
const LOG_PREFIX_LIMIT = 29

function prefixOf(options: Options, name: string, limit: number): { text: string; told: string } {
  const prefix = options.get(name)?.args[0]
  if (prefix === undefined) return { text: '', told: '' }
  if (prefix === '') throw usage('Argument must have a minimum length of 1 characters\n')
  const cut = prefix.slice(0, limit)
  return { text: `${name} ${quoteWord(cut)}`, told: ` ${cut}` }
}

export const loadNflog: TargetLoader = options => {
  const number = (name: string, limit: number): string => {
    const text = options.get(name)?.args[0]
    const value = text === undefined ? 0 : readNumber(text, limit)
    if (value === null) throw usage(`NFLOG: bad value for option "${name}", or out of range (0-${limit}).\n`)
    return value === 0 || (name === '--nflog-threshold' && value === 1) ? '' : `${name} ${value}`
  }
  const prefix = prefixOf(options, '--nflog-prefix', NFLOG_PREFIX_LIMIT)
  const rest = [
    number('--nflog-group', 65535),
    number('--nflog-size', 0xffffffff),
    number('--nflog-threshold', 65535),
  ]
  return {
    text: [prefix.text, ...rest].filter(part => part !== '').join(' '),
    onlyLogs: true,
    act: () => ({ kind: 'continue', told: `NFLOG${prefix.told}` }),
  }
}

const LOG_LEVELS = ['emerg', 'alert', 'crit', 'error', 'warning', 'notice', 'info', 'debug']
export const LOG_FLAGS = [
  '--log-tcp-sequence',
  '--log-tcp-options',
  '--log-ip-options',
  '--log-uid',
  '--log-macdecode',
]

export const loadLog: TargetLoader = options => {
  const given = options.get('--log-level')?.args[0] ?? 'warning'
  const named = LOG_LEVELS.indexOf(given)
  const level = named >= 0 ? named : readNumber(given, 7)
  if (level === null) throw usage(`log level "${given}" unknown\n`)
  const prefix = prefixOf(options, '--log-prefix', LOG_PREFIX_LIMIT)
  const flags = LOG_FLAGS.filter(name => options.has(name))
  const parts = [prefix.text, level === 4 ? '' : `--log-level ${level}`, ...flags]
  return {
    text: parts.filter(part => part !== '').join(' '),
    onlyLogs: true,
    act: () => ({ kind: 'continue', told: `LOG${prefix.told}` }),
  }
}
