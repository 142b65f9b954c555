import type { PortRange } from './values.ts'

const HIGHEST_PORT = 65535

/** Digits without a leading zero or sign, at most `highest`, to a number; else null. */
export function parseDigits(text: string, highest: number): number | null {
  if (!/^(?:0|[1-9][0-9]{0,9})$/.test(text)) return null
  const number = Number(text)
  return number <= highest ? number : null
}

/** `a:b` with a < b, both 0..65535, or null. */
export function parsePortRange(text: string): PortRange | null {
  const colon = text.indexOf(':')
  if (colon < 0) return null
  const first = parseDigits(text.slice(0, colon), HIGHEST_PORT)
  const last = parseDigits(text.slice(colon + 1), HIGHEST_PORT)
  return first !== null && last !== null && first < last ? { first, last } : null
}

/** A port of the annotation language, `80` or `8000:8010`, or null. */
export function parsePortText(text: string): PortRange | null {
  const port = parseDigits(text, HIGHEST_PORT)
  return port === null ? parsePortRange(text) : { first: port, last: port }
}

/** A port of a rule: a JSON number, or a range as text, or null. A single port as text is refused, as Felix did. */
export function parsePort(value: unknown): PortRange | null {
  if (typeof value === 'string') return parsePortRange(value)
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > HIGHEST_PORT) return null
  return { first: value, last: value }
}

/** `80` or `8000:8010`, as iptables writes them. */
export function formatPort(range: PortRange): string {
  return range.first === range.last ? String(range.first) : `${range.first}:${range.last}`
}

/** As a rule's JSON holds it: a number, or a range as text. */
export function portToJson(range: PortRange): number | string {
  return range.first === range.last ? range.first : formatPort(range)
}
