import { type JsonObject, listMember } from '../json.ts'
import { Refusal, show } from '../refusal.ts'
import { field, structField, structOf } from './go-json.ts'
import { decodeLabelKey, decodeLabelValue } from './object-name.ts'

/** Checked values hold no quotes, so these always do. */
function quoted(values: readonly string[]): string {
  return [...new Set(values)].map(value => `'${value}'`).join(',')
}

function decodeValues(expression: JsonObject, place: string): string[] {
  const values = listMember(expression, 'values', `${place}.values`)
  return values.map((value, at) => decodeLabelValue(value, `${place}.values[${at}]`))
}

function decodeExpression(json: unknown, place: string, labelOf: (key: string) => string): string {
  const expression = structOf(json, place)
  const label = labelOf(decodeLabelKey(field(expression, 'key'), `${place}.key`))
  const values = decodeValues(expression, place)
  const operator = field(expression, 'operator')
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0)
        throw new Refusal(`${place}.values`, `${operator} needs values`, 'List at least one value.')
      return `${label} ${operator === 'In' ? 'in' : 'not in'} {${quoted(values)}}`
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0)
        throw new Refusal(`${place}.values`, `${operator} takes no values`, 'Leave the values out.')
      return operator === 'Exists' ? `has(${label})` : `!has(${label})`
    default:
      throw new Refusal(
        `${place}.operator`,
        `${show(operator)} is not an operator`,
        'Write In, NotIn, Exists or DoesNotExist.',
      )
  }
}

/**
 * A LabelSelector to the conditions of a v1 selector, all of which must hold; none for the empty selector, which
 * selects everything. `labelOf`: the label under which endpoints carry a key. Throws Refusal for what the API
 * server refuses.
 */
export function decodeLabelSelector(
  json: unknown,
  place: string,
  labelOf: (key: string) => string,
): readonly string[] {
  const selector = structOf(json, place)
  const labels = structField(selector, 'matchLabels', `${place}.matchLabels`)
  const conditions = Object.keys(labels).map(key => {
    const label = labelOf(decodeLabelKey(key, `${place}.matchLabels`))
    return `${label} == '${decodeLabelValue(labels[key], `${place}.matchLabels`)}'`
  })
  listMember(selector, 'matchExpressions', `${place}.matchExpressions`).forEach((expression, at) => {
    conditions.push(decodeExpression(expression, `${place}.matchExpressions[${at}]`, labelOf))
  })
  return conditions
}
