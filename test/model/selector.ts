import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { parseSelector } from '../../src/model/selector.ts'
import { SelectorError } from '../../src/model/selector-token.ts'

interface Case {
  readonly selector: string
  readonly error?: boolean
  readonly canonical?: string
  readonly labels?: Record<string, string>
  readonly match?: boolean
  readonly evaluations?: readonly { readonly labels: Record<string, string>; readonly match: boolean }[]
}

const file = new URL('../cases/selectors.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] }
const labels = (object: Record<string, string>) => new Map(Object.entries(object))

function errorOf(text: string): SelectorError {
  try {
    parseSelector(text)
  } catch (error) {
    if (error instanceof SelectorError) return error
    throw error
  }
  throw new Error(`accepted: ${text}`)
}

t.test('recorded cases', t => {
  t.equal(cases.length, 33)
  for (const { selector, error, canonical, labels: own, match, evaluations = [] } of cases) {
    if (error) {
      t.type(errorOf(selector), SelectorError, selector)
      continue
    }
    const parsed = parseSelector(selector)
    if (own) t.equal(parsed.matches(labels(own)), match, `${selector} ${JSON.stringify(own)}`)
    for (const one of evaluations)
      t.equal(parsed.matches(labels(one.labels)), one.match, `${selector} ${JSON.stringify(one.labels)}`)
    // The record's order of values is that of a Python set; ours is sorted.
    if (canonical) t.equal(parsed.text, canonical.replace("{'y','x'}", "{'x','y'}"))
  }
  t.end()
})

t.test('canonical text', t => {
  const text = (selector: string) => parseSelector(selector).text
  t.equal(text(''), 'all()')
  t.equal(text('a in {"b"}'), "a == 'b'")
  t.equal(text('a not in { "b" , \'b\' }'), "a != 'b'")
  t.equal(text('a == "it\'s"'), 'a == "it\'s"')
  t.equal(text("a=='1'&&b=='2'||c=='3'"), "((a == '1' && b == '2') || c == '3')")
  t.equal(text('(has(a)&&has(b))&&has(c)'), '(has(a) && has(b) && has(c))')
  t.equal(text('!(has(a)||!has(b))'), '! (has(a) || ! has(b))')
  t.equal(
    text("has == 'x' && all != 'y' && in in {'z'} && not not in {'n'}"),
    "(has == 'x' && all != 'y' && in == 'z' && not != 'n')",
  )
  t.equal(text('has ( a )\t&& all( )'), '(has(a) && all())')
  t.end()
})

t.test('errors point at their column and say what to do', t => {
  const rows: [selector: string, column: number, reason: RegExp, remedy: RegExp][] = [
    ["a = 'b'", 3, /single `=`/, /`==`/],
    ["a == 'b' & b == 'c'", 10, /single `&`/, /`&&`/],
    ["a == 'b' | b == 'c'", 10, /single `\|`/, /`\|\|`/],
    ["a == 'b", 6, /never closed/, /Close/],
    ['a == b', 6, /value in quotes/, /quotes/],
    ["'a' == 'b'", 1, /condition/, /no quotes/],
    ["a == 'b' c == 'd'", 10, /the end/, /Join/],
    ["(a == 'b'", 10, /ends where a closing/, /Close/],
    ['a in {}', 7, /value in quotes/, /quotes/],
    ["a in {'b',}", 11, /value in quotes/, /quotes/],
    ["a in {'b' 'c'}", 11, /`,` or `}`/, /\{'a', 'b'\}/],
    ["a in 'b'", 6, /braces/, /\{'a', 'b'\}/],
    ["a not {'b'}", 3, /comparison/, /not in/],
    ["a not is {'b'}", 3, /comparison/, /not in/],
    ["has('a')", 5, /label name/, /without quotes/],
    ['has(a, b)', 6, /`\)` of `has/, /exactly one/],
    ['all(a)', 5, /`\)` of `all/, /nothing inside/],
    ['all', 4, /ends where a comparison/, /has\(NAME\)/],
    ['!', 2, /ends where a condition/, /condition/],
    ["a == 'b' &&", 12, /ends/, /condition/],
    ['é', 1, /U\+00E9/, /quotes/],
    ['a @ b', 3, /`@`/, /quotes/],
    // Columns count characters, not the halves of which JavaScript makes them.
    ["a == '😀' ?", 10, /`\?`/, /quotes/],
    ['has(a)\n&& ~', 11, /`~`/, /quotes/],
    ["a == 'x' \u0000", 10, /U\+0000/, /quotes/],
  ]
  for (const [selector, column, reason, remedy] of rows) {
    const error = errorOf(selector)
    t.equal(error.column, column, selector)
    t.match(error.reason, reason, selector)
    t.match(error.remedy, remedy, selector)
    t.equal(error.message, `column ${column}: ${error.reason}`)
  }
  t.end()
})

t.test('depth is bounded, length is not', t => {
  t.match(errorOf(`${'('.repeat(100_000)}has(a)`).reason, /too deeply/)
  t.match(errorOf(`${'!'.repeat(100_000)}has(a)`).reason, /too deeply/)
  t.ok(parseSelector(`${'!'.repeat(100)}has(a)`).matches(labels({ a: '' })))
  t.ok(parseSelector(`${'('.repeat(100)}has(a)${')'.repeat(100)} && (has(a))`))
  const many = Array.from({ length: 5_000 }, (_, at) => `a == '${at}'`).join(' || ')
  const wide = parseSelector(`has(b) && (has(c) && has(d)) && (${many})`)
  t.ok(wide.matches(labels({ a: '4999', b: '', c: '', d: '' })))
  t.same(
    wide.needs.map(need => [need.key, need.values?.length]),
    [
      ['b', undefined],
      ['c', undefined],
      ['d', undefined],
      ['a', 5_000],
    ],
  )
  t.ok(parseSelector(`(${Array(150_000).fill('has(a)').join('&&')}) && has(b)`))
  t.end()
})

t.test('needs', t => {
  const needs = (selector: string) => parseSelector(selector).needs
  t.same(needs('all()'), [])
  t.same(needs("a == 'b' && has(c) && d in {'f','e'}"), [
    { key: 'a', values: ['b'] },
    { key: 'c', values: null },
    { key: 'd', values: ['e', 'f'] },
  ])
  t.same(needs("a == '1' || a in {'3','2'}"), [{ key: 'a', values: ['1', '2', '3'] }])
  t.same(needs("a == '1' || has(a)"), [{ key: 'a', values: null }])
  t.same(needs("a == '1' || b == '1'"), [])
  t.same(needs("a != '1' && b not in {'1'} && ! has(c)"), [])
  t.same(needs("! a != '1'"), [{ key: 'a', values: ['1'] }])
  t.same(needs("!(a != '1' || !has(b))"), [
    { key: 'a', values: ['1'] },
    { key: 'b', values: null },
  ])
  t.same(needs("!(a != '1' && a not in {'2'})"), [{ key: 'a', values: ['1', '2'] }])
  t.end()
})

const key = fc.constantFrom('a', 'b', 'c/d', '__proto__')
const value = fc.constantFrom('1', '2', "it's", '')
const quoted = value.map(text => (text.includes("'") ? `"${text}"` : `'${text}'`))
const values = fc.array(quoted, { minLength: 1, maxLength: 3 }).map(list => `{${list.join(', ')}}`)
const { selector } = fc.letrec<{ selector: string; leaf: string }>(tie => ({
  leaf: fc.oneof(
    fc.constant('all()'),
    key.map(k => `has(${k})`),
    fc.tuple(key, fc.constantFrom('==', '!='), quoted).map(parts => parts.join(' ')),
    fc.tuple(key, fc.constantFrom('in', 'not in'), values).map(parts => parts.join(' ')),
  ),
  selector: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    tie('leaf'),
    tie('selector').map(inner => `!(${inner})`),
    fc
      .tuple(tie('selector'), fc.constantFrom('&&', '||'), tie('selector'))
      .map(([a, op, b]) => `(${a}) ${op} (${b})`),
    fc.tuple(tie('leaf'), fc.constantFrom('&&', '||'), tie('selector')).map(parts => parts.join(' ')),
  ),
}))

t.test('a match satisfies every need, and the canonical text means the same', async () => {
  const holds = (text: string, own: [string, string][]) => {
    const parsed = parseSelector(text)
    const again = parseSelector(parsed.text)
    const subject = new Map(own)
    if (again.text !== parsed.text || again.matches(subject) !== parsed.matches(subject)) return false
    if (parseSelector(`!(${text})`).matches(subject) === parsed.matches(subject)) return false
    if (!parsed.matches(subject)) return true
    return parsed.needs.every(({ key, values }) => {
      const has = subject.get(key)
      return has !== undefined && (values === null || values.includes(has))
    })
  }
  fc.assert(fc.property(selector, fc.array(fc.tuple(key, value), { maxLength: 4 }), holds), { numRuns: 3000 })
})

t.test('any text is a selector or a SelectorError', async () => {
  const pieces = fc
    .array(
      fc.constantFrom(
        'a',
        "'b'",
        '==',
        '!=',
        'in',
        'not',
        '{',
        '}',
        ',',
        '!',
        '&&',
        '||',
        '(',
        ')',
        'has',
        'all',
        ' ',
        '"',
        '=',
        '\u0000',
        '😀',
      ),
      { maxLength: 12 },
    )
    .map(list => list.join(''))
  const holds = (text: string) => {
    try {
      return parseSelector(text).text !== ''
    } catch (error) {
      return error instanceof SelectorError && error.column >= 1 && error.column <= [...text].length + 1
    }
  }
  fc.assert(fc.property(fc.oneof(pieces, fc.string({ unit: 'binary' })), holds), { numRuns: 1000 })
})
