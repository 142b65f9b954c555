/** A line that cannot come from `ipset save`. */
export class IpsetTextError extends Error {
  /** Counted from 1. */
  readonly line: number

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`)
    this.name = 'IpsetTextError'
    this.line = line
  }
}

/**
 * What went wrong, from ipset's own words. `unsupported`: the kernel or this ipset lacks the type or its
 * revision, so that `ipset list` of everything fails; name the wanted sets instead.
 */
export type IpsetProblem =
  | 'no-such-set'
  | 'set-exists'
  | 'in-use'
  | 'full'
  | 'already-added'
  | 'not-added'
  | 'different-types'
  | 'unsupported'
  | 'denied'
  | 'syntax'
  | 'unknown'

export interface IpsetFailure {
  readonly problem: IpsetProblem
  /** The sentence that ipset printed, without its name and version. */
  readonly message: string
  /** Of `ipset restore`'s input, counted from 1; null when not named. */
  readonly line: number | null
}

const PROBLEMS: readonly (readonly [RegExp, IpsetProblem])[] = [
  [/not supported|supported by (the )?(kernel|userspace)|Kernel-library incompatibility/i, 'unsupported'],
  [/does not exist/, 'no-such-set'],
  [/same name already exists|new name already exists/, 'set-exists'],
  [/in use by/, 'in-use'],
  [/is full/, 'full'],
  [/already added/, 'already-added'],
  [/it's not added/, 'not-added'],
  [/type does not match/, 'different-types'],
  [/permission|Operation not permitted/i, 'denied'],
  [/Syntax error|Unknown argument|Missing|cannot parse|invalid|out of range|cannot be used/i, 'syntax'],
]

/** The first complaint in what ipset wrote to stderr (v6 and v7), or null when there is none. */
export function readIpsetFailure(stderr: string): IpsetFailure | null {
  const first = stderr.split('\n').find(text => /^ipset v[\d.]+: (?!Warning)/.test(text))
  if (first === undefined) return null
  const said = /^ipset v[\d.]+: (?:Error in line (\d+): )?(.*)$/.exec(first)!
  const message = said[2]!
  const problem = PROBLEMS.find(([pattern]) => pattern.test(message))?.[1] ?? 'unknown'
  return { problem, message, line: said[1] === undefined ? null : Number(said[1]) }
}
