import type { PodAttachment } from '../model/kubernetes/pod-attachment.ts'
import type { KubernetesProblem } from '../model/kubernetes/problem.ts'
import type { KeyChange, Source, SourceEvent } from '../source/event.ts'

/** What turns the objects of one kind of store into keys and values of the v1 tree. */
export interface Translation {
  snapshot(entries: ReadonlyMap<string, string>): ReadonlyMap<string, string>
  change(changes: readonly KeyChange[]): KeyChange[]
  attach(pod: string, attachment: PodAttachment | null): KeyChange[]
  problems(): ReadonlyMap<string, KubernetesProblem>
}

/**
 * A source whose objects are Kubernetes', told as the v1 tree. What the container runtime says of this node's pods
 * comes in between as changes of its own: their revision is the last one of the source with a counter behind it.
 */
export class TranslatedSource implements Source {
  readonly name: string
  readonly #inner: Source
  readonly #translation: Translation
  readonly #onProblems: (problems: ReadonlyMap<string, KubernetesProblem>) => void
  #emit: (event: SourceEvent) => void = () => {}
  /** null: no complete list has come yet, so there is nothing to change. */
  #revision: string | null = null
  #attachments = 0

  constructor(
    inner: Source,
    translation: Translation,
    onProblems: (problems: ReadonlyMap<string, KubernetesProblem>) => void,
  ) {
    this.name = inner.name
    this.#inner = inner
    this.#translation = translation
    this.#onProblems = onProblems
  }

  relist(reason: string): void {
    this.#inner.relist(reason)
  }

  async run(emit: (event: SourceEvent) => void, signal: AbortSignal): Promise<void> {
    this.#emit = emit
    try {
      await this.#inner.run(event => this.#tell(event), signal)
    } finally {
      this.#emit = () => {}
    }
  }

  /** What the container runtime says of a pod of this node (`NAMESPACE/NAME`); null: it has let go of it. */
  attach(pod: string, attachment: PodAttachment | null): void {
    const changes = this.#translation.attach(pod, attachment)
    if (this.#revision === null || changes.length === 0) return
    this.#attachments += 1
    this.#emit({ kind: 'changes', revision: `${this.#revision}+${this.#attachments}`, changes })
  }

  #tell(event: SourceEvent): void {
    if (event.kind === 'connection') {
      this.#emit(event)
      return
    }
    this.#revision = event.revision
    this.#attachments = 0
    if (event.kind === 'snapshot')
      this.#emit({ ...event, entries: this.#translation.snapshot(event.entries) })
    else this.#emit({ ...event, changes: this.#translation.change(event.changes) })
    this.#onProblems(this.#translation.problems())
  }
}
