import type { IncomingMessage } from 'node:http'
import type { KubeObject } from './object-path.ts'

export interface KubeEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: KubeObject
}

/** A watch that stands: what it has told so far, and what comes. */
export class KubeWatch {
  /** Everything in the order in which it came. */
  readonly events: KubeEvent[] = []
  /** Resolves when the server, or whatever lies between, has ended it. */
  readonly ended: Promise<void>
  private readonly answer: IncomingMessage
  private over = false
  /** Why it broke, if it was not ended politely. */
  private reason: unknown = null
  private wake: () => void = () => {}

  constructor(answer: IncomingMessage) {
    this.answer = answer
    this.ended = this.read()
  }

  /** The first event, also among those of the past, that is as asked. Rejects when the watch ends without it. */
  async first(asked: (event: KubeEvent) => boolean): Promise<KubeEvent> {
    for (let seen = 0; ; ) {
      for (; seen < this.events.length; seen++) if (asked(this.events[seen]!)) return this.events[seen]!
      if (this.over) throw this.lacking()
      await new Promise<void>(resolve => {
        const { wake } = this
        this.wake = () => {
          wake()
          resolve()
        }
      })
    }
  }

  end(): void {
    this.answer.destroy()
  }

  private lacking(): Error {
    const said = JSON.stringify(this.events.slice(-3)).slice(0, 1000)
    return new Error(`the watch ended before that; it told last: ${said}`, { cause: this.reason })
  }

  private async read(): Promise<void> {
    let rest = ''
    this.answer.setEncoding('utf8')
    try {
      for await (const chunk of this.answer) {
        const lines = `${rest}${chunk}`.split('\n')
        rest = lines.pop()!
        for (const line of lines) this.events.push(JSON.parse(line) as KubeEvent)
        this.wakeAll()
      }
    } catch (error) {
      this.reason = error
    }
    this.over = true
    this.wakeAll()
  }

  private wakeAll(): void {
    const { wake } = this
    this.wake = () => {}
    wake()
  }
}
