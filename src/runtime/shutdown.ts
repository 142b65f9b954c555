/** The part of `process` that is needed here. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown
  off(signal: NodeJS.Signals, listener: () => void): unknown
}

export interface Shutdown {
  /** Aborts when the agent is to end; `reason` is the signal's name. */
  readonly signal: AbortSignal
  /** Ends the agent from inside, for a failure that nothing can mend. */
  request(reason: string): void
  /** Lets go of the signals. */
  dispose(): void
}

/**
 * SIGTERM and SIGINT ask for an orderly end; a second one calls `force`, for people who do not want to wait.
 * SIGHUP calls `reload`.
 */
export function onShutdown(
  source: SignalSource,
  handlers: { readonly reload: () => void; readonly force: (signal: string) => void },
): Shutdown {
  const controller = new AbortController()
  const end = (signal: string) => () => {
    if (controller.signal.aborted) handlers.force(signal)
    else controller.abort(signal)
  }
  const listeners = [
    ['SIGTERM', end('SIGTERM')],
    ['SIGINT', end('SIGINT')],
    ['SIGHUP', () => handlers.reload()],
  ] as const
  for (const [signal, listener] of listeners) source.on(signal, listener)
  return {
    signal: controller.signal,
    request: reason => controller.abort(reason),
    dispose() {
      for (const [signal, listener] of listeners) source.off(signal, listener)
    },
  }
}

/** Closes parts in the reverse of the order in which they were opened; one that fails does not keep the others open. */
export class Closers {
  readonly #closers: { readonly name: string; readonly close: () => unknown }[] = []

  add(name: string, close: () => unknown): void {
    this.#closers.push({ name, close })
  }

  /** `failed` hears of each part that could not be closed. */
  async closeAll(failed: (name: string, error: unknown) => void): Promise<void> {
    for (let last = this.#closers.pop(); last !== undefined; last = this.#closers.pop()) {
      try {
        await last.close()
      } catch (error) {
        failed(last.name, error)
      }
    }
  }
}
