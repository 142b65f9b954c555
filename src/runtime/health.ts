import type { Clock } from './clock.ts'

export type Probe = 'liveness' | 'readiness'

/**
 * The parts whose health is told. Readiness: in sync, the last apply succeeded, and the source is there
 * or was a moment ago. Liveness asks only what a restart could mend.
 */
const PARTS = {
  sync: 'readiness',
  apply: 'readiness',
  source: 'readiness',
  progress: 'liveness',
} as const satisfies Record<string, Probe>

export type HealthPart = keyof typeof PARTS

/** What a probe says of one part. */
export interface PartHealth {
  readonly name: HealthPart
  readonly healthy: boolean
  /** What is wrong, in words, also while the grace lasts; null when nothing is. */
  readonly reason: string | null
  /** When this state began, ISO 8601. */
  readonly since: string
}

export interface HealthReport {
  readonly healthy: boolean
  readonly parts: readonly PartHealth[]
}

interface State {
  fault: string | null
  since: number
  graceUntil: number
}

/** The health of the agent's parts. What readiness asks is at fault until first reported well. */
export class Health {
  readonly #states = new Map<HealthPart, State>()
  readonly #clock: Clock
  readonly #wallTime: () => number

  constructor(clock: Clock, wallTime: () => number = Date.now) {
    this.#clock = clock
    this.#wallTime = wallTime
    const since = clock.now()
    for (const [part, probe] of Object.entries(PARTS) as [HealthPart, Probe][])
      this.#states.set(part, { fault: probe === 'readiness' ? 'starting' : null, since, graceUntil: since })
  }

  /** `fault` null: well. A fault counts only when it has lasted for `graceMs`. */
  report(part: HealthPart, fault: string | null, graceMs = 0): void {
    const state = this.#states.get(part)!
    if ((state.fault === null) !== (fault === null)) {
      state.since = this.#clock.now()
      state.graceUntil = state.since + graceMs
    }
    state.fault = fault
  }

  answer(probe: Probe): HealthReport {
    const now = this.#clock.now()
    const parts = [...this.#states]
      .filter(([name]) => PARTS[name] === probe)
      .map(([name, { fault, since, graceUntil }]) => ({
        name,
        healthy: fault === null || now < graceUntil,
        reason: fault,
        since: new Date(this.#wallTime() - (now - since)).toISOString(),
      }))
    return { healthy: parts.every(part => part.healthy), parts }
  }
}
