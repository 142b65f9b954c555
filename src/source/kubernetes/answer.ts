import type { Readable } from 'node:stream'

/**
 * The chunks of an answer; throws SilentAnswer when none comes for `idleMs`, and what `explain` makes of any other
 * failure of the connection.
 */
export async function* chunksOf(
  answer: Readable,
  idleMs: number,
  explain: (error: unknown) => Error,
): AsyncIterable<Buffer> {
  const timer = setTimeout(() => answer.destroy(new SilentAnswer(`no byte for ${idleMs} ms`)), idleMs)
  try {
    for await (const chunk of answer) {
      timer.refresh()
      yield chunk
    }
  } catch (error) {
    throw error instanceof SilentAnswer ? error : explain(error)
  } finally {
    clearTimeout(timer)
  }
}

/** The whole answer as text. Throws AnswerTooLong, and what `chunksOf` throws. */
export async function wholeText(
  answer: Readable,
  idleMs: number,
  mostBytes: number,
  explain: (error: unknown) => Error,
): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of chunksOf(answer, idleMs, explain)) {
    length += chunk.length
    if (length > mostBytes) throw new AnswerTooLong(`an answer of more than ${mostBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length).toString('utf8')
}

export class SilentAnswer extends Error {}

/** More bytes than anybody can want; a page of a listing must be smaller then. */
export class AnswerTooLong extends Error {}
