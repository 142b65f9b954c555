import { setTimeout as sleep } from 'node:timers/promises'
import type { KubernetesApi } from './api.ts'
import { ApiError } from './api-error.ts'
import { VERSION_PATH } from './api-path.ts'

export interface PulseOptions {
  /** How long nothing may be heard before the server is asked. */
  readonly quietMs: number
  /** How long it may take to answer. */
  readonly answerMs: number
}

/** From what stands in front of a server that is not there. */
const NOBODY_THERE = new Set([502, 503, 504])

/**
 * Whether the server still lives, while the watches are silent. A watch may rightly be silent for a minute, until its
 * next bookmark, and HTTP/1.1 has no question that could be asked on its connection. TCP's keepalive notices a peer that
 * is gone, not one that hangs. So when nothing was heard on any watch for some seconds, the server is asked for its
 * version; any answer will do. Where pods come and go all the time the question is never asked.
 */
export class Pulse {
  private readonly api: KubernetesApi
  private readonly options: PulseOptions
  private heardAt = performance.now()

  constructor(api: KubernetesApi, options: PulseOptions) {
    this.api = api
    this.options = options
  }

  heard(): void {
    this.heardAt = performance.now()
  }

  /** Rejects with the failure when the server does not answer, or when `signal` aborts. */
  async watch(signal: AbortSignal): Promise<never> {
    const { quietMs, answerMs } = this.options
    while (true) {
      const left = this.heardAt + quietMs - performance.now()
      if (left > 0) await sleep(left, undefined, { signal })
      else {
        await this.ask(answerMs, signal)
        this.heard()
      }
    }
  }

  private async ask(answerMs: number, signal: AbortSignal): Promise<void> {
    try {
      await this.api.get(VERSION_PATH, { signal, answerMs })
    } catch (error) {
      const answered = error instanceof ApiError && error.status > 0 && !NOBODY_THERE.has(error.status)
      if (!answered) throw error
    }
  }
}
