/** Codes of the CNI specification 1.1 (section "Error"), and our own from 100 on. */
export const CNI_CODES = {
  INCOMPATIBLE_VERSION: 1,
  UNKNOWN_CONTAINER: 3,
  INVALID_ENVIRONMENT: 4,
  IO_FAILED: 5,
  UNDECODABLE: 6,
  INVALID_CONFIG: 7,
  TRY_AGAIN: 11,
  NOT_AVAILABLE: 50,
  LIMITED: 51,
  /** Waiting does not help: packets of this pod would meet no rule of ours. */
  NOT_ENFORCEABLE: 100,
  UNEXPECTED: 999,
} as const

export type CniErrorName = keyof typeof CNI_CODES

/** A failure as a CNI runtime gets it: `message` is one sentence, `details` says what to do. */
export class CniFailure extends Error {
  readonly code: number
  readonly details: string

  constructor(name: CniErrorName | number, message: string, details = '') {
    super(message)
    this.name = 'CniFailure'
    this.code = typeof name === 'number' ? name : CNI_CODES[name]
    this.details = details
  }
}
