import { randomInt } from 'node:crypto'
import { PodfenceError } from '../../errors.ts'
import type { KernelCounters } from '../counters.ts'
import { assertPlainLines } from '../plain-line.ts'
import type { Child, Processes } from '../process.ts'

/** Our own set that is only ever asked for members which it never has. */
export const ACK_SET = 'podf-ack'

/** A line that the kernel did not take, with the tool's words. All other lines of its batch stand. */
export interface LineFailure {
  readonly line: string
  readonly said: string
}

export interface IpsetSessionOptions {
  readonly processes: Processes
  readonly counters: KernelCounters
  /** How long the tool may be silent with lines before it. Default 10 s. */
  readonly silenceMs?: number
}

/** What the tool says when a set has reached its maxelem. */
export const FULL = 'Hash is full'

/** Each process of an ipset that is older or newer than the kernel says so first; that refuses no line. */
const WARNING = /^(?:ipset v[\d.]+: )?Warning: /

/** Lines between two acknowledgements: an error is known to lie in one such group at once. */
const GROUP = 64
/** Lines written before waiting, so that neither pipe nor memory holds a whole cold start. */
const CHUNK = 4096

/**
 * One long-lived `ipset -exist -`. It commits each line, says nothing when that worked and keeps stdout
 * to itself, but the answer to `test` comes at once on stderr: `0.0.0.7 is NOT in set podf-ack.` is the
 * acknowledgement of all before it. Lines are idempotent (`-exist`), so a group that had an error is
 * simply sent again line by line to find the culprit, through a new process: after some errors the old
 * one answers everything with "Internal protocol error".
 */
export class IpsetSession {
  readonly #options: IpsetSessionOptions
  #child: Child | null = null
  #sequence = randomInt(1, 1 << 23)
  #hear: ((line: string) => void) | null = null
  #dead: ((why: string) => void) | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: IpsetSessionOptions) {
    this.#options = options
  }

  /** Starts the process and creates the acknowledgement set. Throws PREREQUISITE_MISSING when that cannot be. */
  async open(): Promise<void> {
    const child = this.#start()
    try {
      await this.#groups([[]])
    } catch (error) {
      const end = await child.ended
      const why = end.missing
        ? 'there is no program ipset'
        : `ipset does not work: ${(error as Error).message}`
      throw new PodfenceError('PREREQUISITE_MISSING', why, { cause: error })
    }
  }

  /**
   * Runs lines such as `add NAME MEMBER` in order. Resolves with those that were refused once everything
   * is acknowledged; throws when the process itself was lost (then any of the lines may stand).
   */
  run(lines: readonly string[]): Promise<readonly LineFailure[]> {
    const turn = this.#queue.then(() => this.#run(lines))
    this.#queue = turn.catch(() => {})
    return turn
  }

  async #run(lines: readonly string[]): Promise<readonly LineFailure[]> {
    if (lines.length === 0) return []
    assertPlainLines(lines)
    const { counters } = this.#options
    counters.ipsetLines += lines.length
    counters.ipsetBatches++
    const failures: LineFailure[] = []
    const full = new Set<string>()
    for (let at = 0; at < lines.length; at += CHUNK) {
      const chunk = hopefulOf(lines.slice(at, at + CHUNK), full, failures)
      if (chunk.length === 0) continue
      const groups: string[][] = []
      for (let from = 0; from < chunk.length; from += GROUP) groups.push(chunk.slice(from, from + GROUP))
      const complaints = await this.#groups(groups)
      const suspects = groups.filter((_, index) => complaints[index] !== undefined)
      for (const group of suspects) await this.#oneByOne(group, full, failures)
    }
    counters.ipsetErrors += failures.length
    return failures
  }

  async #oneByOne(lines: readonly string[], full: Set<string>, failures: LineFailure[]): Promise<void> {
    const group = hopefulOf(lines, full, failures)
    if (group.length === 0) return
    this.#restart()
    const single = group.map(line => [line])
    const complaints = await this.#groups(single)
    for (const [index, line] of group.entries()) {
      const said = complaints[index]
      if (said === undefined) continue
      failures.push({ line, said })
      if (said.includes(FULL)) full.add(addedTo(line))
    }
    if (complaints.some(said => said !== undefined)) this.#restart()
  }

  /** Writes groups, each followed by its acknowledgement; returns what was said before each of them. */
  #groups(groups: readonly (readonly string[])[]): Promise<(string | undefined)[]> {
    if (this.#child === null) this.#start()
    const complaints: (string | undefined)[] = groups.map(() => undefined)
    const answers: string[] = []
    let text = ''
    for (const group of groups) {
      const member = this.#nextMember()
      answers.push(`${member} is NOT in set ${ACK_SET}.`)
      for (const line of group) text += `${line}\n`
      text += `test ${ACK_SET} ${member}\n`
    }
    const { silenceMs = 10_000 } = this.#options
    return new Promise((resolve, reject) => {
      let done = 0
      const lost = (why: string) => {
        this.#stop()
        const said = complaints.filter(complaint => complaint !== undefined).at(-1)
        reject(new PodfenceError('KERNEL_REFUSED', said === undefined ? why : `${why}: ${said}`))
      }
      const silence = () => lost(`ipset gave no answer for ${silenceMs} ms`)
      let timer = setTimeout(silence, silenceMs)
      this.#dead = why => {
        clearTimeout(timer)
        lost(why)
      }
      this.#hear = line => {
        clearTimeout(timer)
        if (line === answers[done]) done++
        else complaints[done] ??= line.replace(/^ipset v[\d.]+: /, '')
        if (done < answers.length) {
          timer = setTimeout(silence, silenceMs)
          return
        }
        this.#hear = null
        this.#dead = null
        resolve(complaints)
      }
      this.#child?.write(text)
    })
  }

  #start(): Child {
    const child: Child = this.#options.processes.start('ipset', ['-exist', '-'], {
      onErrorLine: line => {
        if (this.#child === child && !WARNING.test(line)) this.#hear?.(line)
      },
    })
    this.#child = child
    child.write(`create ${ACK_SET} hash:ip family inet\n`)
    child.ended.then(end => {
      if (this.#child !== child) return
      this.#child = null
      this.#dead?.(`ipset ended with ${end.signal ?? end.code}`)
    })
    return child
  }

  #stop(): void {
    const child = this.#child
    this.#child = null
    this.#hear = null
    this.#dead = null
    child?.kill()
  }

  #restart(): void {
    this.#stop()
    this.#start()
  }

  #nextMember(): string {
    this.#sequence = (this.#sequence + 1) % (1 << 24)
    const n = this.#sequence
    return `0.${n >> 16}.${(n >> 8) & 255}.${n & 255}`
  }

  async close(): Promise<void> {
    await this.#queue
    const child = this.#child
    this.#child = null
    child?.end()
    await child?.ended
  }
}

/** The set that `add SET MEMBER` adds to; empty for any other line. */
function addedTo(line: string): string {
  const [verb, name = ''] = line.split(' ', 2)
  return verb === 'add' ? name : ''
}

/** The lines without adds to sets that are known to be full; those are failures without being tried. */
function hopefulOf(
  lines: readonly string[],
  full: ReadonlySet<string>,
  failures: LineFailure[],
): readonly string[] {
  if (full.size === 0) return lines
  return lines.filter(line => {
    const hopeless = full.has(addedTo(line))
    if (hopeless) failures.push({ line, said: FULL })
    return !hopeless
  })
}
