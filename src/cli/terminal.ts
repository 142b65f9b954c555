import { createInterface } from 'node:readline'
import { styleText } from 'node:util'

/** A command's world: what it reads, where it prints, and how it ended. */
export interface Terminal {
  /** A result, to stdout. */
  out(text: string): void
  /** A remark for people, to stderr. */
  note(text: string): void
  /** The lines of stdin. */
  lines(): AsyncIterable<string>
  /** All of stdin. */
  input(): Promise<string>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether stdout is a terminal: somebody is reading. */
  readonly interactive: boolean
  paint(colour: Colour, text: string): string
}

export type Colour = 'green' | 'yellow' | 'red' | 'bold' | 'dim'

export function processTerminal(): Terminal {
  // A reader that goes away (`podfence get | head`) ends the command quietly.
  process.stdout.on('error', error => {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    out: text => void process.stdout.write(text.endsWith('\n') ? text : `${text}\n`),
    note: text => void process.stderr.write(text.endsWith('\n') ? text : `${text}\n`),
    lines: () => createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY }),
    async input() {
      const pieces: Buffer[] = []
      for await (const piece of process.stdin as AsyncIterable<Buffer>) pieces.push(piece)
      return Buffer.concat(pieces).toString('utf8')
    },
    env: process.env,
    interactive: process.stdout.isTTY === true,
    // Knows NO_COLOR, FORCE_COLOR and whether stdout is a terminal.
    paint: (colour, text) => styleText(colour, text, { stream: process.stdout }),
  }
}
