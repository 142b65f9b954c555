import { show } from './refusal.ts'
import { type Expression, expressionNeeds, expressionTest, expressionText } from './selector-expression.ts'
import { SelectorError, type Token, type TokenKind, tokenize } from './selector-token.ts'

export interface Selector {
  /** Canonical text: two selectors that are written alike have the same. */
  readonly text: string
  matches(labels: ReadonlyMap<string, string>): boolean
  /** What every match must satisfy, for indexes: a key with one of some values, a key that exists, or nothing known. */
  readonly needs: readonly { readonly key: string; readonly values: readonly string[] | null }[]
}

/** Nobody nests deeper by hand; the bound keeps every walk over the tree within the stack. */
const DEEPEST = 100

interface Reader {
  readonly text: string
  readonly tokens: readonly Token[]
  next: number
  depth: number
}

function peek(reader: Reader): Token {
  return reader.tokens[reader.next]!
}

function fail(reader: Reader, token: Token, wanted: string, remedy: string): SelectorError {
  const found = token.kind === 'end' ? 'the selector ends' : `found ${show(reader.text.slice(token.at))}`
  return new SelectorError(reader.text, token.at, `${found} where ${wanted} should stand`, remedy)
}

function expect(reader: Reader, kind: TokenKind, wanted: string, remedy: string): Token {
  const token = peek(reader)
  if (token.kind !== kind) throw fail(reader, token, wanted, remedy)
  reader.next++
  return token
}

function deeper<Result>(reader: Reader, token: Token, read: () => Result): Result {
  if (++reader.depth > DEEPEST) {
    const remedy = `Write it with at most ${DEEPEST} levels of parentheses and \`!\`.`
    throw new SelectorError(reader.text, token.at, 'the selector is nested too deeply', remedy)
  }
  const result = read()
  reader.depth--
  return result
}

function readChain(reader: Reader, op: 'and' | 'or'): Expression {
  const sign = op === 'and' ? '&&' : '||'
  const branches: Expression[] = []
  do {
    const branch = op === 'and' ? readOperand(reader) : readChain(reader, 'and')
    if (branch.op !== op) branches.push(branch)
    else for (const inner of branch.of) branches.push(inner)
  } while (peek(reader).kind === sign && reader.next++ >= 0)
  return branches.length === 1 ? branches[0]! : { op, of: branches }
}

function readOperand(reader: Reader): Expression {
  const token = peek(reader)
  if (token.kind === '!') {
    reader.next++
    return { op: 'not', of: deeper(reader, token, () => readOperand(reader)) }
  }
  if (token.kind === '(') {
    reader.next++
    const inner = deeper(reader, token, () => readChain(reader, 'or'))
    expect(reader, ')', 'a closing `)`', 'Close the parenthesis, or join the conditions with `&&` or `||`.')
    return inner
  }
  const remedy =
    "Write a condition such as `role == 'db'`, `has(role)` or `all()`; label names have no quotes."
  const { text: key } = expect(reader, 'word', 'a condition', remedy)
  if (peek(reader).kind === '(' && (key === 'has' || key === 'all')) return readCall(reader, key)
  return readComparison(reader, key)
}

function readCall(reader: Reader, name: 'has' | 'all'): Expression {
  reader.next++
  if (name === 'all') {
    expect(reader, ')', 'the `)` of `all()`', 'Write `all()` with nothing inside.')
    return { op: 'all' }
  }
  const { text: key } = expect(reader, 'word', 'a label name', 'Write `has(NAME)`, the name without quotes.')
  expect(reader, ')', 'the `)` of `has(...)`', 'Name exactly one label in `has(NAME)`.')
  return { op: 'has', key }
}

function readComparison(reader: Reader, key: string): Expression {
  const token = peek(reader)
  reader.next++
  if (token.kind === '==' || token.kind === '!=')
    return { op: 'in', key, values: [readValue(reader)], negated: token.kind === '!=' }
  if (token.kind === 'word' && token.text === 'in')
    return { op: 'in', key, values: readValues(reader), negated: false }
  const after = reader.tokens[reader.next]
  if (token.kind === 'word' && token.text === 'not' && after?.kind === 'word' && after.text === 'in') {
    reader.next++
    return { op: 'in', key, values: readValues(reader), negated: true }
  }
  throw fail(
    reader,
    token,
    'a comparison',
    'Follow a label with `==`, `!=`, `in {...}` or `not in {...}`, or write `has(NAME)`.',
  )
}

function readValue(reader: Reader): string {
  return expect(reader, 'text', 'a value in quotes', 'Put the value into single or double quotes.').text
}

function readValues(reader: Reader): string[] {
  const remedy = "Write the values as `{'a', 'b'}`, at least one."
  expect(reader, '{', 'a list of values in braces', remedy)
  const values = new Set([readValue(reader)])
  while (peek(reader).kind === ',') {
    reader.next++
    values.add(readValue(reader))
  }
  expect(reader, '}', 'a `,` or `}`', remedy)
  return [...values].sort()
}

/**
 * Reads a selector of the v1 model: `k == 'v'`, `k != 'v'`, `k in {...}`, `k not in {...}`, `has(k)`, `all()`,
 * `!`, `&&`, `||` and parentheses; blank text selects everything. Throws SelectorError.
 */
export function parseSelector(text: string): Selector {
  const reader: Reader = { text, tokens: tokenize(text), next: 0, depth: 0 }
  const expression: Expression = peek(reader).kind === 'end' ? { op: 'all' } : readChain(reader, 'or')
  expect(reader, 'end', '`&&`, `||` or the end', 'Join conditions with `&&` or `||`.')
  return {
    text: expressionText(expression),
    matches: expressionTest(expression),
    needs: expressionNeeds(expression),
  }
}
