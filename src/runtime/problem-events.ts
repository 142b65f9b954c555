import type { KubernetesProblem } from '../model/kubernetes/problem.ts'
import type { Source, SourceEvent } from '../source/event.ts'
import { ApiError } from '../source/kubernetes/api-error.ts'
import { parseObjectKey } from '../source/kubernetes/object-key.ts'
import type { PodWarning } from '../source/kubernetes/pod-event.ts'
import type { Clock } from './clock.ts'
import type { Logger } from './log.ts'

export interface ProblemEventsOptions {
  /** Only pods of this node; null: of all. */
  readonly host: string | null
  /** Writes one Event; doing so twice with the same words must do no harm. */
  readonly write: (warning: PodWarning) => Promise<void>
  /** Whether it is ours to tell now. */
  readonly tells: () => boolean
  readonly clock: Clock
  readonly log: Logger
}

/** What asking again does not change: a namespace that is being removed takes no more Events. */
const FINAL: ReadonlySet<number> = new Set([400, 403, 404, 413, 422])

/** After a failure nothing is told for so long: nobody enforces anything by an Event, and the log has it all. */
const REST_MS = 60_000

/**
 * Tells people of what is wrong with their pods where they look for it: a Kubernetes Event on the pod, once for each pod and
 * text. It stands between a source of Kubernetes objects and their translation.
 */
export class ProblemEvents {
  readonly #options: ProblemEventsOptions
  /** What is to be told of the pods that have a problem now, by the pod's key. */
  readonly #due = new Map<string, PodWarning>()
  /** What was told of them last. */
  readonly #told = new Map<string, PodWarning>()
  #heard: SourceEvent | null = null
  #writing: Promise<void> | null = null
  /** Ends the rest after a failure; null: there is none. */
  #resting: (() => void) | null = null
  #stopped = false

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
    for (const key of this.#due.keys()) if (!problems.has(key)) this.#due.delete(key)
    for (const key of this.#told.keys()) if (!problems.has(key)) this.#told.delete(key)
    for (const [key, warning] of podWarnings(this.#heard, problems, this.#options.host))
      this.#due.set(key, warning)
    this.tell()
  }

  /** Tells what is not told yet, if it is ours to tell. */
  tell(): void {
    if (this.#due.size === 0 || this.#stopped || this.#resting !== null || !this.#options.tells()) return
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null
    })
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#writing
    this.#resting?.()
  }

  async #write(): Promise<void> {
    const { write, clock, log } = this.#options
    for (let next = this.#untold(); next !== null && !this.#stopped; next = this.#untold()) {
      const [key, warning] = next
      try {
        await write(warning)
        this.#told.set(key, warning)
      } catch (err) {
        log.warn(
          { err, component: 'events', pod: `${warning.namespace}/${warning.pod}` },
          'an Event is not written',
        )
        if (err instanceof ApiError && FINAL.has(err.status)) this.#told.set(key, warning)
        this.#resting = clock.after(REST_MS, () => {
          this.#resting = null
          this.tell()
        })
        return
      }
    }
  }

  #untold(): readonly [string, PodWarning] | null {
    for (const [key, warning] of this.#due) {
      const told = this.#told.get(key)
      if (told?.uid !== warning.uid || told.message !== warning.message) return [key, warning]
    }
    return null
  }
}

/** What is to be told of the pods of an event that have a problem, by their keys. `host`: only of pods of this node. */
export function* podWarnings(
  event: SourceEvent | null,
  problems: ReadonlyMap<string, KubernetesProblem>,
  host: string | null,
): Generator<readonly [string, PodWarning]> {
  for (const [key, object] of objectsOf(event, problems)) {
    const place = parseObjectKey(key)
    if (place?.resource !== 'pods') continue
    const { uid, node } = podOf(object)
    if (uid === '' || (host !== null && node !== host)) continue
    const problem = problems.get(key)!
    const reason = problem.column === undefined ? 'PolicyProblem' : 'BadAnnotation'
    const warning = { namespace: place.namespace, pod: place.name, uid, reason, message: textOf(problem) }
    yield [key, host === null ? warning : { ...warning, host }]
  }
}

/** The objects of an event that have a problem. */
function* objectsOf(
  event: SourceEvent | null,
  problems: ReadonlyMap<string, KubernetesProblem>,
): Generator<readonly [string, string]> {
  if (event?.kind === 'changes')
    for (const { key, value } of event.changes) if (value !== null && problems.has(key)) yield [key, value]
  if (event?.kind === 'snapshot')
    for (const key of problems.keys()) {
      const value = event.entries.get(key)
      if (value !== undefined) yield [key, value]
    }
}

function textOf({ reason, column, effect, remedy }: KubernetesProblem): string {
  const place = column === undefined ? '' : `column ${column}: `
  const text = `${place}${reason}: ${effect}. ${remedy}`
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

function podOf(object: string): { readonly uid: string; readonly node: string } {
  try {
    const { metadata, spec } = JSON.parse(object)
    return { uid: String(metadata?.uid ?? ''), node: String(spec?.nodeName ?? '') }
  } catch {
    return { uid: '', node: '' }
  }
}
