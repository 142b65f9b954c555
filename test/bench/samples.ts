/** Samples in whatever unit they were taken. */

export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** p50, p99 and the most, in milliseconds, beside the floor's p50 and their ratio. */
export function besideFloor(samples: readonly number[], floor: readonly number[]) {
  return {
    p50_ms: median(samples),
    p99_ms: quantile(samples, 0.99),
    max_ms: Math.max(...samples),
    floor_p50_ms: median(floor),
    floor_p99_ms: quantile(floor, 0.99),
    ratio: median(samples) / median(floor),
  }
}
