import type { Step } from './outcome.ts'

/**
 * Writes down how a verdict came about. Whoever needs the verdict alone passes null instead; calls are made with
 * `?.`, so that no text is built then.
 */
export class Recorder {
  readonly trail: Step[] = []
  by = ''

  step(at: string, what: string): void {
    this.trail.push({ at, what })
  }

  /** The step that decides; of several the last stands. */
  decide(at: string, what: string): void {
    this.step(at, what)
    this.by = at
  }
}
