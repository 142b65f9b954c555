/** A selector that cannot be read. `column` is 1-based, in characters (code points) of the selector. */
export class SelectorError extends Error {
  readonly column: number
  readonly reason: string
  readonly remedy: string

  /** `at` is an index into `text`, as JavaScript counts. */
  constructor(text: string, at: number, reason: string, remedy: string) {
    const column = [...text.slice(0, at)].length + 1
    super(`column ${column}: ${reason}`)
    this.name = 'SelectorError'
    this.column = column
    this.reason = reason
    this.remedy = remedy
  }
}

export type TokenKind =
  | 'word'
  | 'text'
  | '('
  | ')'
  | '{'
  | '}'
  | ','
  | '=='
  | '!='
  | '!'
  | '&&'
  | '||'
  | 'end'

export interface Token {
  readonly kind: TokenKind
  /** The word, or the text between the quotes; for the others as written. */
  readonly text: string
  readonly at: number
}

const BLANKS = /[ \t\n\r\f\v]*/y
const SIGN = /==|!=|&&|\|\||[(){},!]/y
const WORD = /[A-Za-z0-9_./-]+/y

function take(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? null
}

function strayCharacter(text: string, at: number): SelectorError {
  const char = String.fromCodePoint(text.codePointAt(at)!)
  if (char === '=') return new SelectorError(text, at, 'a single `=`', 'Write `==` to compare.')
  if (char === '&' || char === '|')
    return new SelectorError(text, at, `a single \`${char}\``, `Write \`${char}${char}\`.`)
  const code = char.codePointAt(0)!
  const shown =
    code > 32 && code < 127 ? `\`${char}\`` : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
  return new SelectorError(
    text,
    at,
    `the character ${shown} has no place here`,
    'Labels hold letters, digits, `_`, `.`, `-` and `/`; put values into quotes.',
  )
}

/** Splits a selector into tokens, the last of kind `end`. Throws SelectorError. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = take(BLANKS, text, 0)!.length
  while (at < text.length) {
    const quote = text[at]!
    if (quote === "'" || quote === '"') {
      const end = text.indexOf(quote, at + 1)
      if (end < 0)
        throw new SelectorError(text, at, 'a quote that is never closed', `Close the value with ${quote}.`)
      tokens.push({ kind: 'text', text: text.slice(at + 1, end), at })
      at = end + 1
    } else {
      const sign = take(SIGN, text, at)
      const word = sign ?? take(WORD, text, at)
      if (word === null) throw strayCharacter(text, at)
      tokens.push({ kind: sign === null ? 'word' : (sign as TokenKind), text: word, at })
      at += word.length
    }
    at += take(BLANKS, text, at)!.length
  }
  tokens.push({ kind: 'end', text: '', at: text.length })
  return tokens
}
