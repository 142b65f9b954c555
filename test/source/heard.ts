import type { Source, SourceEvent } from '../../src/source/event.ts'

/** Runs a source and keeps what it says: every event, and the keys and values they add up to. */
export class Heard {
  readonly events: SourceEvent[] = []
  readonly entries = new Map<string, string>()
  /** How often each change was told, by key and value. */
  snapshots = 0
  readonly source: Source
  private readonly stopping = new AbortController()
  private readonly running: Promise<void>
  private waiting: (() => void)[] = []

  constructor(source: Source, onEvent: (event: SourceEvent) => void = () => undefined) {
    this.source = source
    this.running = source.run(event => {
      this.take(event)
      onEvent(event)
    }, this.stopping.signal)
    this.running.catch(() => undefined)
  }

  /** Resolves when `condition` holds, now or after some event; the test's own time limit ends a wait in vain. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>(resolve => this.waiting.push(resolve))
  }

  async stop(): Promise<void> {
    this.stopping.abort()
    await this.running
  }

  get connections(): { connected: boolean; reason: string }[] {
    return this.events.filter(event => event.kind === 'connection')
  }

  get changes(): { key: string; value: string | null }[] {
    return this.events.flatMap(event => (event.kind === 'changes' ? event.changes : []))
  }

  private take(event: SourceEvent): void {
    this.events.push(event)
    if (event.kind === 'snapshot') {
      this.snapshots += 1
      this.entries.clear()
      for (const [key, value] of event.entries) this.entries.set(key, value)
    }
    if (event.kind === 'changes') {
      for (const { key, value } of event.changes)
        if (value === null) this.entries.delete(key)
        else this.entries.set(key, value)
    }
    const waiting = this.waiting
    this.waiting = []
    for (const resolve of waiting) resolve()
  }
}
