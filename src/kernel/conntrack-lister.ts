import { PodfenceError } from '../errors.ts'
import { FAMILIES, type Family } from '../model/values.ts'
import { type ConntrackEntry, parseEntry } from './conntrack.ts'
import type { Child, Processes } from './process.ts'

/** How long one family's list may take before the tool counts as hung. */
const PATIENCE_MS = 60_000

/**
 * Lists a family, or all, for each line it reads. What the tool has to say beside its list comes after it, in the line that
 * ends it. A list is a process of its own, but a small one's child: the agent's memory makes its own spawns stop the event
 * loop for milliseconds, and a list follows every enforced change. Each walks the whole table of the kernel, so that both
 * families at once cost half; without a family, conntrack-tools before 1.4.7 list IPv4 alone.
 */
const PROGRAM = `set -f
exec 3>&1
all='conntrack -L'
case $(conntrack --version 2>&1) in
  *' v1.4.'[0-6]' '* | *' v1.'[0-3].* | *' v0.'*) all='conntrack -L -f ipv4 && conntrack -L -f ipv6' ;;
esac
while read -r family; do
  case $family in
    all) said=$(eval "$all" 2>&1 >&3) ;;
    *) said=$(conntrack -L -f "$family" 2>&1 >&3) ;;
  esac
  echo podf-end $? $said
done`

interface Listing {
  readonly visit: (entry: ConntrackEntry) => void
  readonly settle: (error: PodfenceError | null) => void
}

/** Reads the connection tracking table through one long-lived helper, which is started when it is first needed. */
export class ConntrackLister {
  readonly #processes: Pick<Processes, 'start'>
  #child: Child | null = null
  #listing: Listing | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(processes: Pick<Processes, 'start'>) {
    this.#processes = processes
  }

  /** Visits every entry of some families. One call at a time. Throws PREREQUISITE_MISSING, KERNEL_UNREADABLE. */
  list(visit: (entry: ConntrackEntry) => void, families: readonly Family[] = FAMILIES): Promise<void> {
    const asked = new Set(families)
    const [only] = asked
    if (only === undefined) return Promise.resolve()
    const turn = this.#queue.then(() => this.#list(asked.size === 1 ? `ipv${only}` : 'all', visit))
    this.#queue = turn.catch(() => {})
    return turn
  }

  #list(family: 'ipv4' | 'ipv6' | 'all', visit: Listing['visit']): Promise<void> {
    const child = this.#child ?? this.#start()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#child = null
        child.kill()
        this.#listing?.settle(unreadable('it did not end in time'))
      }, PATIENCE_MS)
      this.#listing = {
        visit,
        settle: error => {
          clearTimeout(timer)
          this.#listing = null
          if (error === null) resolve()
          else reject(error)
        },
      }
      child.write(`${family}\n`)
    })
  }

  #start(): Child {
    const child: Child = this.#processes.start('sh', ['-c', PROGRAM], {
      onLine: line => {
        if (this.#child === child) this.#heard(line)
      },
    })
    this.#child = child
    child.ended.then(() => {
      if (this.#child !== child) return
      this.#child = null
      this.#listing?.settle(unreadable('the process that lists it ended'))
    })
    return child
  }

  #heard(line: string): void {
    const listing = this.#listing
    if (listing === null) return
    if (line.startsWith('podf-end ')) {
      const [, code = '', ...said] = line.split(' ')
      if (code === '0') listing.settle(null)
      else if (code === '127')
        listing.settle(new PodfenceError('PREREQUISITE_MISSING', 'there is no program conntrack'))
      else listing.settle(unreadable(said.join(' ')))
      return
    }
    const entry = parseEntry(line)
    if (entry !== null) listing.visit(entry)
  }
}

function unreadable(why: string): PodfenceError {
  return new PodfenceError('KERNEL_UNREADABLE', `conntrack: ${why}`)
}
