import { quoteWord } from '../iptables-parser/words.ts'
import { type MatchExtension, show } from './extension.ts'
import { readRate, showRate } from './limit-rate.ts'
import { hex, readMarkMask, readNumber } from './number.ts'
import { need } from './packet.ts'
import { setMatches } from './set-match.ts'
import { usage } from './tool.ts'

/** Matches on what the kernel knows of a packet: mark, connection state, set membership; and comment and limit. */

/** Longer ones are cut without a word, by both backends. */
const COMMENT_LIMIT = 255

const comment: MatchExtension = {
  options: { '--comment': false },
  load: options => {
    const option = options.must('--comment')
    return { text: show(option, quoteWord(option.args[0]!.slice(0, COMMENT_LIMIT))), test: () => true }
  },
}

const mark: MatchExtension = {
  options: { '--mark': true },
  load: options => {
    const option = options.must('--mark')
    const wanted = readMarkMask(option.args[0]!)
    if (wanted === null) throw usage('mark: bad integer value for option "--mark", or out of range.\n')
    const { value, mask } = wanted
    return {
      text: show(option, mask === 0xffffffff ? hex(value) : `${hex(value)}/${hex(mask)}`),
      test: seen => ((seen.mark & mask) >>> 0 === value) !== option.not,
    }
  },
}

/** In the order in which iptables-save prints them. */
const STATES = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'] as const

function stateMatch(module: 'conntrack' | 'state'): MatchExtension {
  const name = module === 'conntrack' ? '--ctstate' : '--state'
  return {
    options: { [name]: true },
    load: options => {
      if (options.names.length === 0 && module === 'conntrack')
        throw usage('conntrack: At least one option is required')
      const option = options.must(name)
      const given = option.args[0]!.toUpperCase().split(',')
      const wrong = given.find(state => !(STATES as readonly string[]).includes(state))
      if (wrong !== undefined) throw usage(`Bad ${name.slice(2)} "${option.args[0]}"`)
      if (given.includes('SNAT')) throw new TypeError('the fake knows no source translation')
      const wanted = STATES.filter(state => given.includes(state))
      const translated = wanted.includes('DNAT')
      return {
        text: show(option, wanted.join(',')),
        test: seen =>
          (wanted.some(state => state === seen.ctstate) || (translated && need(seen, 'translated'))) !==
          option.not,
      }
    },
  }
}

const DIRECTIONS_LIMIT = 6

const set: MatchExtension = {
  options: { '--match-set': true },
  load: (options, context) => {
    const option = options.get('--match-set')
    if (option === undefined) throw usage("You must specify `--match-set' with proper arguments")
    const [name, words] = option.args as [string, string]
    const found = context.sets.get(name)
    if (found === undefined) throw usage(`Set ${name} doesn't exist.\n`)
    if (found.family !== context.family)
      throw usage(`The protocol family of set ${name} is IPv${found.family}, which is not applicable.\n`)
    const directions = words.split(',')
    if (directions.length > DIRECTIONS_LIMIT)
      throw usage(`Can't be more src/dst options than ${DIRECTIONS_LIMIT}.`)
    if (directions.some(each => each !== 'src' && each !== 'dst'))
      throw usage("You must spefify (the comma separated list of) 'src' or 'dst'.")
    return {
      text: show(option, `${name} ${words}`),
      sets: [name],
      test: (seen, world) => {
        const live = world.sets.get(name)
        if (live === undefined) throw new TypeError(`a rule refers to the set '${name}', which is gone`)
        return setMatches(live, seen, directions as ('src' | 'dst')[]) !== option.not
      },
    }
  },
}

const BURST_DEFAULT = 5

/** A limit always has room left here: the walk is about verdicts. See `onlyBeforeLog` of the rule. */
const limit: MatchExtension = {
  options: { '--limit': false, '--limit-burst': false },
  load: options => {
    const rate = options.get('--limit')
    const burst = options.get('--limit-burst')
    const room = burst === undefined ? BURST_DEFAULT : readNumber(burst.args[0]!, 10000)
    if (room === null || room === 0)
      throw usage('limit: bad value for option "--limit-burst", or out of range (0-10000).\n')
    const shown = showRate(readRate(rate?.args[0] ?? '3/hour'))
    const burstText = room === BURST_DEFAULT ? '' : ` --limit-burst ${room}`
    return { text: `--limit ${shown}${burstText}`, test: () => true }
  },
}

export const STATE_MATCHES: Readonly<Record<string, MatchExtension>> = {
  comment,
  conntrack: stateMatch('conntrack'),
  limit,
  mark,
  set,
  state: stateMatch('state'),
}
