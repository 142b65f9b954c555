import { setTimeout as pause } from 'node:timers/promises'

/** Far more than anything takes on a busy machine; only a failure waits so long. */
const PATIENCE_MS = 90_000

/** Waits until `test` gives something true; resolves with it. Throws an Error that says what never came about. */
export async function until<Found>(
  what: string | (() => string),
  test: () => Promise<Found> | Found,
  patienceMs = PATIENCE_MS,
): Promise<NonNullable<Found>> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const found = await test()
    if (found) return found
    if (performance.now() > deadline)
      throw new Error(`never came about: ${typeof what === 'string' ? what : what()}`)
    await pause(25)
  }
}
