/** A place in a file; line and column from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface ObjectProblem {
  readonly place: Place
  readonly message: string
  readonly remedy: string
  /** The keys of the object that cannot be used; null when it cannot even be told which object it is. */
  readonly keys: readonly string[] | null
}

/** `FILE:LINE:COLUMN: MESSAGE` for people. */
export function printProblem({ place, message }: ObjectProblem): string {
  return `${place.file}:${place.line}:${place.column}: ${message}`
}

/** A document that is no object: what is wrong, and where in the text. */
export class ObjectFault extends Error {
  readonly offset: number
  readonly remedy: string

  constructor(offset: number, message: string, remedy: string) {
    super(message)
    this.offset = offset
    this.remedy = remedy
  }
}
