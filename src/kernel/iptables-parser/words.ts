const SAFE = /^[A-Za-z0-9_-]+$/

/**
 * A rule's line as the words that the xtables tools make of it: blanks divide; a double quote opens a part
 * in which a backslash takes the next character as it is, and the closing quote ends the word. Null when a
 * quote never closes.
 */
export function splitWords(text: string): string[] | null {
  let quote = text.indexOf('"')
  if (quote < 0) return blankless(text)
  const words: string[] = []
  let at = 0
  while (quote >= 0) {
    const before = blankless(text.slice(at, quote))
    // What stands right before the quote is the start of the quoted word.
    const glued = quote > at && !isBlank(text[quote - 1]!) ? before.pop()! : ''
    for (const word of before) words.push(word)
    const inside = quoted(text, quote + 1)
    if (inside === null) return null
    words.push(glued + inside.word)
    at = inside.at + 1
    quote = text.indexOf('"', at)
  }
  for (const word of blankless(text.slice(at))) words.push(word)
  return words
}

/** Whether `splitWords` has an answer. */
export function quotesClose(text: string): boolean {
  let at = text.indexOf('"')
  if (at < 0) return true
  if (text.includes('\\')) return splitWords(text) !== null
  let open = false
  for (; at >= 0; at = text.indexOf('"', at + 1)) open = !open
  return !open
}

function isBlank(char: string): boolean {
  return char === ' ' || char === '\t'
}

function blankless(text: string): string[] {
  const words = text.includes('\t') ? text.split(/[ \t]/) : text.split(' ')
  return words.includes('') ? words.filter(word => word !== '') : words
}

/** What stands between the quotes, from `start`, and where the closing quote is. */
function quoted(text: string, start: number): { word: string; at: number } | null {
  const close = text.indexOf('"', start)
  if (close < 0) return null
  const plain = text.slice(start, close)
  return plain.includes('\\') ? escaped(text, start) : { word: plain, at: close }
}

function escaped(text: string, start: number): { word: string; at: number } | null {
  let word = ''
  for (let at = start; at < text.length; at++) {
    const char = text[at]!
    if (char === '"') return { word, at }
    word += char === '\\' && at + 1 < text.length ? text[++at] : char
  }
  return null
}

/** A free text (comment, log prefix) as iptables-save prints it: bare when harmless, else quoted with `"`, `\` and `'` escaped. */
export function quoteWord(word: string): string {
  return SAFE.test(word) ? word : `"${word.replace(/["\\']/g, '\\$&')}"`
}
