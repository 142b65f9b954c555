/**
 * Thrown by every decoder of a stored value: what is wrong, with its place in the value, and what to do.
 * The tree turns it into a Rejection with the key.
 */
export class Refusal extends Error {
  readonly reason: string
  readonly remedy: string

  /** `place` such as `inbound_rules[2].src_ports[0]`; empty for the value as a whole. */
  constructor(place: string, problem: string, remedy: string) {
    super(place === '' ? problem : `${place}: ${problem}`)
    this.name = 'Refusal'
    this.reason = this.message
    this.remedy = remedy
  }
}

const LONGEST_SHOWN = 40

/**
 * A stored value as a short piece of a message: printable ASCII only, cut, and never walked into (a deeply
 * nested one would overflow the stack of JSON.stringify).
 */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    const cut = value.length > LONGEST_SHOWN ? `${value.slice(0, LONGEST_SHOWN)}...` : value
    return JSON.stringify(cut).replace(
      /[^\x20-\x7e]/g,
      char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
  }
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  return String(value)
}

/** What `read` returns, or undefined when it refuses; for reading one part of a value that is refused as a whole. */
export function attempt<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}
