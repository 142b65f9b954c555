import { asObject, type JsonObject, listMember, member } from '../json.ts'
import { Refusal, show } from '../refusal.ts'

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const
type Operator = (typeof OPERATORS)[number]

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/
const PREFIX = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

/**
 * A Kubernetes LabelSelector as terms of the v1 selector language, all of which must hold; none: everything.
 * `labelOf` names the endpoint's label for a key of the selector. The rules are those of apimachinery's
 * ValidateLabelSelector. Throws Refusal.
 */
export function selectorTerms(json: unknown, place: string, labelOf: (key: string) => string): string[] {
  const selector = asObject(json, place)
  const labels = member(selector, 'matchLabels') ?? {}
  const terms = Object.entries(asObject(labels, `${place}.matchLabels`)).map(([key, value]) => {
    checkKey(key, `${place}.matchLabels`)
    return `${labelOf(key)} == ${quoted(checkedValue(value, `${place}.matchLabels[${show(key)}]`))}`
  })
  const expressions = listMember(selector, 'matchExpressions', `${place}.matchExpressions`)
  return [
    ...terms,
    ...expressions.map((each, at) => {
      const where = `${place}.matchExpressions[${at}]`
      return expressionTerm(asObject(each, where), where, labelOf)
    }),
  ]
}

/** Terms of the v1 selector language as one selector. */
export function allOf(terms: readonly string[]): string {
  return terms.length === 0 ? 'all()' : terms.join(' && ')
}

/** A label's value as the selector language quotes it; label values hold no quotes. */
export function quoted(value: string): string {
  return `'${value}'`
}

function expressionTerm(json: JsonObject, place: string, labelOf: (key: string) => string): string {
  const key = member(json, 'key')
  const operator = member(json, 'operator')
  if (typeof key !== 'string')
    throw new Refusal(`${place}.key`, `${show(key)} is not a label's key`, 'Name the key.')
  checkKey(key, `${place}.key`)
  if (!isOperator(operator))
    throw new Refusal(
      `${place}.operator`,
      `${show(operator)} is not an operator`,
      `Use one of ${OPERATORS.join(', ')}.`,
    )
  const values = listMember(json, 'values', `${place}.values`)
  const wantsValues = operator === 'In' || operator === 'NotIn'
  if (wantsValues !== values.length > 0)
    throw new Refusal(
      `${place}.values`,
      `${operator} ${wantsValues ? 'needs a value' : 'takes no value'}`,
      wantsValues ? 'Name one value at least.' : 'Leave the values out.',
    )
  const label = labelOf(key)
  const list = values.map((value, at) => quoted(checkedValue(value, `${place}.values[${at}]`))).join(',')
  const terms: Readonly<Record<Operator, string>> = {
    In: `${label} in {${list}}`,
    NotIn: `${label} not in {${list}}`,
    Exists: `has(${label})`,
    DoesNotExist: `!has(${label})`,
  }
  return terms[operator]
}

function isOperator(value: unknown): value is Operator {
  return OPERATORS.some(operator => operator === value)
}

/** A qualified name: `NAME` or `PREFIX/NAME`, the prefix a DNS subdomain. */
function checkKey(key: string, place: string): void {
  const slash = key.indexOf('/')
  const [prefix, name] = slash < 0 ? [null, key] : [key.slice(0, slash), key.slice(slash + 1)]
  if (NAME.test(name) && (prefix === null || (prefix.length <= 253 && PREFIX.test(prefix)))) return
  throw new Refusal(place, `${show(key)} is not a label's key`, 'Write it as Kubernetes has it.')
}

function checkedValue(value: unknown, place: string): string {
  if (typeof value === 'string' && (value === '' || NAME.test(value))) return value
  throw new Refusal(
    place,
    `${show(value)} is not a label's value`,
    'Use up to 63 letters, digits, `-`, `_` and `.`, in quotes.',
  )
}
