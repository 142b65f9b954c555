/** What one check found. Green: fine. Yellow: it works, with a limit. Red: policy is not enforced as it should be. */
export interface Finding {
  readonly level: 'green' | 'yellow' | 'red'
  /** What was looked at. */
  readonly what: string
  /** What was found, one line. */
  readonly says: string
  /** What to do; null when there is nothing to do. */
  readonly remedy: string | null
}

export function green(what: string, says: string): Finding {
  return { level: 'green', what, says, remedy: null }
}

export function yellow(what: string, says: string, remedy: string): Finding {
  return { level: 'yellow', what, says, remedy }
}

export function red(what: string, says: string, remedy: string): Finding {
  return { level: 'red', what, says, remedy }
}
