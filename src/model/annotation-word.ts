/** One word of an annotation. Columns are 1-based, in code points of the whole annotation. */
export interface Word {
  readonly text: string
  readonly column: number
}

/** What stands between two `;`: at least one word. */
export type Segment = readonly Word[]

const BLANKS: ReadonlySet<string> = new Set([' ', '\t', '\n', '\r', '\f', '\v'])

/** Splits an annotation at `;` and blanks. Segments without a word are left out. */
export function splitAnnotation(text: string): Segment[] {
  const segments: Word[][] = []
  let words: Word[] = []
  let word = ''
  let column = 0
  const endWord = () => {
    if (word !== '') words.push({ text: word, column: column - [...word].length })
    word = ''
  }
  const endSegment = () => {
    endWord()
    if (words.length > 0) segments.push(words)
    words = []
  }
  for (const char of text) {
    column++
    if (char === ';') endSegment()
    else if (BLANKS.has(char)) endWord()
    else word += char
  }
  column++
  endSegment()
  return segments
}

/** The column right behind a word, where something missing should have followed. */
export function columnBehind(word: Word): number {
  return word.column + [...word.text].length
}
