/**
 * The one catalogue of failures: a code, one sentence, what to do next, and the exit code of a command
 * that ends with it. Exit codes: 1 failed, 2 usage or configuration, 3 prerequisite missing, 4 kernel
 * busy, 5 data source unreachable, 7 denied.
 */
export const CATALOGUE = {
  CONFIG_INVALID: {
    exit: 2,
    next: 'Correct the setting; `podfence config` lists every setting with its default and origin.',
  },
  USAGE: { exit: 2, next: 'See `podfence help`.' },
  OBJECT_INVALID: { exit: 2, next: 'Correct the object at the place named and apply it again.' },
  ANNOTATION_INVALID: { exit: 2, next: 'Correct the annotation at the column named.' },
  PREREQUISITE_MISSING: {
    exit: 3,
    next: 'Run `podfence check`; it names what is missing and how to get it.',
  },
  KERNEL_BUSY: {
    exit: 4,
    next: 'Another program holds the xtables lock; find it with `fuser /run/xtables.lock`.',
  },
  KERNEL_REFUSED: {
    exit: 1,
    next: 'The kernel refused the text shown; `podfence check` names missing modules.',
  },
  KERNEL_UNREADABLE: {
    exit: 1,
    next: 'A foreign rule cannot be read by this iptables; see the message for the table.',
  },
  STORE_UNREACHABLE: {
    exit: 5,
    next: 'Check the address, the certificates and the network with `podfence check`.',
  },
  STORE_DENIED: {
    exit: 5,
    next: 'Check user, password and role; the README lists the rights each part needs.',
  },
  AGENT_UNREACHABLE: { exit: 5, next: 'Start the agent, or name its run directory with --run-dir.' },
} as const satisfies Record<string, { exit: number; next: string }>

export type ErrorCode = keyof typeof CATALOGUE

/** A failure from the catalogue. `message` is one sentence for people; `next` says what to do. */
export class PodfenceError extends Error {
  readonly code: ErrorCode
  readonly next: string
  readonly exitCode: number

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; next?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'PodfenceError'
    this.code = code
    this.next = options.next ?? CATALOGUE[code].next
    this.exitCode = CATALOGUE[code].exit
  }
}
