import type { KubernetesProblem } from '../model/kubernetes/problem.ts'
import type { Source, SourceEvent } from '../source/event.ts'
import { parseObjectKey } from '../source/kubernetes/object-key.ts'
import type { PodWarning } from '../source/kubernetes/pod-event.ts'
import type { Logger } from './log.ts'

export interface ProblemEventsOptions {
  /** Only pods of this node; null: of all. */
  readonly host: string | null
  /** Writes one Event. */
  readonly write: (warning: PodWarning) => Promise<void>
  /** Whether it is ours to tell now; who is not to tell still hears, and takes it as told. */
  readonly tells: () => boolean
  readonly log: Logger
}

/** More can only wait where the API is away or a whole cluster is wrong; the log has them all. */
const MOST_WAITING = 1000

/** What of a pod an Event names. */
interface Pod {
  readonly uid: string
  readonly node: string
}

/**
 * Tells people of what is wrong with their pods where they look for it: a Kubernetes Event on the pod, once for each pod and
 * text. It stands between a source of Kubernetes objects and their translation.
 */
export class ProblemEvents {
  readonly #options: ProblemEventsOptions
  /** The text told last, by the pod's key. */
  readonly #told = new Map<string, string>()
  #heard: SourceEvent | null = null
  #waiting: PodWarning[] = []
  #writing: Promise<void> | null = null
  #failed = false

  constructor(options: ProblemEventsOptions) {
    this.#options = options
  }

  /** The source as the translation is to have it. */
  listening(source: Source): Source {
    return {
      name: source.name,
      relist: reason => source.relist(reason),
      run: (emit, signal) =>
        source.run(event => {
          this.#heard = event
          emit(event)
          this.#heard = null
        }, signal),
    }
  }

  /** What is wrong after the event that the translation has just taken. */
  problems(problems: ReadonlyMap<string, KubernetesProblem>): void {
    const due = dueWarnings(this.#heard, problems, this.#told, this.#options.host)
    if (!this.#options.tells() || due.length === 0) return
    this.#waiting.push(...due)
    this.#waiting.splice(0, this.#waiting.length - MOST_WAITING)
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null
    })
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#waiting = []
    await this.#writing
  }

  async #write(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        await this.#options.write(next)
        this.#failed = false
      } catch (err) {
        if (!this.#failed) this.#options.log.warn({ err, component: 'events' }, 'an Event cannot be written')
        this.#failed = true
      }
    }
  }
}

/**
 * The warnings that an event of the source gives reason for. `told` is what was told before, and is brought up to date:
 * only pods that have a problem now are kept in it.
 */
export function dueWarnings(
  event: SourceEvent | null,
  problems: ReadonlyMap<string, KubernetesProblem>,
  told: Map<string, string>,
  host: string | null,
): PodWarning[] {
  for (const key of told.keys()) if (!problems.has(key)) told.delete(key)
  const due: PodWarning[] = []
  for (const [key, object] of wrongPods(event, problems)) {
    const text = textOf(problems.get(key)!)
    const pod = podOf(object)
    if (told.get(key) === text || pod === null || (host !== null && pod.node !== host)) continue
    told.set(key, text)
    const { namespace, name } = parseObjectKey(key)!
    const reason = problems.get(key)!.column === undefined ? 'PolicyProblem' : 'BadAnnotation'
    const warning = { namespace, pod: name, uid: pod.uid, reason, message: text }
    due.push(host === null ? warning : { ...warning, host })
  }
  return due
}

/** The objects of the event that are pods with a problem, by key. */
function* wrongPods(
  event: SourceEvent | null,
  problems: ReadonlyMap<string, KubernetesProblem>,
): Generator<readonly [string, string]> {
  if (event === null || event.kind === 'connection' || problems.size === 0) return
  const isWrong = (key: string) => problems.has(key) && parseObjectKey(key)?.resource === 'pods'
  if (event.kind === 'changes') {
    for (const { key, value } of event.changes) if (value !== null && isWrong(key)) yield [key, value]
    return
  }
  for (const key of problems.keys()) {
    const value = event.entries.get(key)
    if (value !== undefined && isWrong(key)) yield [key, value]
  }
}

function textOf({ reason, effect, remedy }: KubernetesProblem): string {
  return `${sentence(reason)}: ${effect}. ${remedy}`
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
}

function podOf(object: string): Pod | null {
  try {
    const { metadata, spec } = JSON.parse(object)
    return { uid: String(metadata?.uid ?? ''), node: String(spec?.nodeName ?? '') }
  } catch {
    return null
  }
}
