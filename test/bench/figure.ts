import type { Backend } from '../../src/kernel/backend.ts'

/** What a figure is held against, in words, and whether it holds. */
export interface Target {
  readonly text: string
  readonly met: boolean
}

/** One measured figure. The names of its numbers carry their unit: `p50_ms`, `rss_mb`, `added_ns`. */
export interface Figure {
  readonly bench: string
  readonly what: string
  readonly world: string
  readonly backend: Backend
  /** How many samples. */
  readonly n: number
  readonly numbers: Readonly<Record<string, number>>
  /** None: reported without a target. */
  readonly targets: readonly Target[]
}

/** A figure with the machine's load (of one minute) when it was taken. */
export interface Measured extends Figure {
  readonly load: number
}

/** `text` as it stands in the issue; `value` must not be more than `most`. */
export function atMost(value: number, most: number, text: string): Target {
  return { text, met: value <= most }
}

export function jsonLine({ bench, world, backend, n, what, numbers, targets, load }: Measured): string {
  const rounded = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, round(value)]))
  const judged = { target: targets.map(({ text }) => text).join('; '), met: targets.every(({ met }) => met) }
  return JSON.stringify({
    bench,
    world,
    backend,
    n,
    ...rounded,
    what,
    load: round(load),
    ...(targets.length > 0 ? judged : {}),
  })
}

/** Lines for people. */
export function tableLines(figures: readonly Measured[]): string[] {
  return figures.flatMap(({ bench, world, backend, n, what, numbers, targets, load }) => {
    const head = `${bench.padEnd(4)}${world.padEnd(7)}${backend.padEnd(7)}${what} (n=${n}, load ${round(load)})`
    const measured = Object.entries(numbers).map(([name, value]) => `${name}=${round(value)}`)
    const judged = targets.map(({ text, met }) => `${met ? 'met   ' : 'MISSED'} ${text}`)
    return [head, `      ${measured.join('  ')}`, ...judged.map(line => `      ${line}`)]
  })
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100
}
