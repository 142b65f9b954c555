/** A selector as a tree. `in` with one value is `==`, negated `!=`; values are sorted and unique. */
export type Expression =
  | { readonly op: 'all' }
  | { readonly op: 'has'; readonly key: string }
  | { readonly op: 'in'; readonly key: string; readonly values: readonly string[]; readonly negated: boolean }
  | { readonly op: 'not'; readonly of: Expression }
  | { readonly op: 'and' | 'or'; readonly of: readonly Expression[] }

export interface Need {
  readonly key: string
  /** null: any value, but the key must be there. */
  readonly values: readonly string[] | null
}

function quote(value: string): string {
  // The language has no escapes, so a value holds at most one of the two quotes.
  return value.includes("'") ? `"${value}"` : `'${value}'`
}

/** Canonical text, which parses back to the same expression. */
export function expressionText(expression: Expression): string {
  switch (expression.op) {
    case 'all':
      return 'all()'
    case 'has':
      return `has(${expression.key})`
    case 'in': {
      const { key, values, negated } = expression
      if (values.length === 1) return `${key} ${negated ? '!=' : '=='} ${quote(values[0]!)}`
      return `${key} ${negated ? 'not in' : 'in'} {${values.map(quote).join(',')}}`
    }
    case 'not':
      return `! ${expressionText(expression.of)}`
    default:
      return `(${expression.of.map(expressionText).join(expression.op === 'and' ? ' && ' : ' || ')})`
  }
}

type Test = (labels: ReadonlyMap<string, string>) => boolean

/** The expression as a function of an endpoint's labels. */
export function expressionTest(expression: Expression): Test {
  switch (expression.op) {
    case 'all':
      return () => true
    case 'has': {
      const { key } = expression
      return labels => labels.has(key)
    }
    case 'in': {
      const { key, values, negated } = expression
      const only = values[0]!
      if (values.length === 1) return labels => (labels.get(key) === only) !== negated
      const set = new Set(values)
      return labels => {
        const value = labels.get(key)
        return (value !== undefined && set.has(value)) !== negated
      }
    }
    case 'not': {
      const test = expressionTest(expression.of)
      return labels => !test(labels)
    }
    default: {
      const tests = expression.of.map(expressionTest)
      if (expression.op === 'and') return labels => tests.every(test => test(labels))
      return labels => tests.some(test => test(labels))
    }
  }
}

function unionOf(lists: readonly Need['values'][]): Need['values'] {
  const union = new Set<string>()
  for (const values of lists) {
    if (values === null) return null
    for (const value of values) union.add(value)
  }
  return [...union].sort()
}

/** What all branches need alike: a key that every one of them names, with the values of all. */
function sharedNeeds(branches: readonly (readonly Need[])[]): Need[] {
  const byKey = branches.map(needs => new Map(needs.map(need => [need.key, need.values])))
  const shared: Need[] = []
  for (const key of byKey[0]!.keys()) {
    if (!byKey.every(needs => needs.has(key))) continue
    const values = byKey.map(needs => needs.get(key) ?? null)
    shared.push({ key, values: unionOf(values) })
  }
  return shared
}

/**
 * Facts that every match of the expression (of its negation, when `negated`) satisfies together. Never more
 * than is true; possibly fewer.
 */
export function expressionNeeds(expression: Expression, negated = false): Need[] {
  switch (expression.op) {
    case 'all':
      return []
    case 'has':
      return negated ? [] : [{ key: expression.key, values: null }]
    case 'in':
      return expression.negated === negated ? [{ key: expression.key, values: expression.values }] : []
    case 'not':
      return expressionNeeds(expression.of, !negated)
    default: {
      const needs = expression.of.map(branch => expressionNeeds(branch, negated))
      // By de Morgan, a negated || holds only when each branch fails, and a negated && when any does.
      return (expression.op === 'and') === negated ? sharedNeeds(needs) : needs.flat()
    }
  }
}
