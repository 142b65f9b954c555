const NEWLINE = 0x0a

/** Cuts bytes into lines, wherever they are split; a character is never, since only whole lines become text. */
export class JsonLines {
  private readonly longest: number
  private begun: Buffer[] = []
  private length = 0

  constructor(longest: number) {
    this.longest = longest
  }

  /** The lines that `chunk` completes, without empty ones. Throws LineTooLong. */
  take(chunk: Buffer): string[] {
    const lines: string[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.keep(chunk.subarray(from, end))
      const line = Buffer.concat(this.begun, this.length).toString('utf8')
      if (line.trim() !== '') lines.push(line)
      this.begun = []
      this.length = 0
      from = end + 1
    }
    if (from < chunk.length) this.keep(chunk.subarray(from))
    return lines
  }

  /** Whether a line was begun and not ended. */
  get cut(): boolean {
    return this.length > 0
  }

  private keep(part: Buffer): void {
    this.length += part.length
    if (this.length > this.longest) throw new LineTooLong(`a line of more than ${this.longest} bytes`)
    this.begun.push(part)
  }
}

/** More bytes than an object can have. */
export class LineTooLong extends Error {}
