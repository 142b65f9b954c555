import { Refusal, show } from '../refusal.ts'

/** What Kubernetes takes for names, label keys and label values; the API's own validation is the source. */

const DNS_LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/
const LONGEST_DNS_LABEL = 63
const LONGEST_SUBDOMAIN = 253
/** Of a label's key without its prefix, and of its value. */
const QUALIFIED = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const LONGEST_QUALIFIED = 63
const LONGEST_PORT_NAME = 15

/** A namespace's name: never with a dot or an underscore. */
export function isNamespaceName(text: string): boolean {
  return text.length <= LONGEST_DNS_LABEL && DNS_LABEL.test(text)
}

/** The name of a pod, a node or a NetworkPolicy: never with an underscore. */
export function isSubdomain(text: string): boolean {
  return text.length <= LONGEST_SUBDOMAIN && text.split('.').every(part => DNS_LABEL.test(part))
}

function isQualified(text: string): boolean {
  return text.length <= LONGEST_QUALIFIED && QUALIFIED.test(text)
}

function isLabelKey(text: string): boolean {
  const slash = text.indexOf('/')
  if (slash < 0) return isQualified(text)
  return isSubdomain(text.slice(0, slash)) && isQualified(text.slice(slash + 1))
}

/** Throws Refusal unless a label can have this key. */
export function decodeLabelKey(value: unknown, place: string): string {
  if (typeof value === 'string' && isLabelKey(value)) return value
  throw new Refusal(
    place,
    `${show(value)} is not the key of a label`,
    'Write NAME or DOMAIN/NAME, the name of at most 63 letters, digits, `-`, `_` and `.`.',
  )
}

/** Throws Refusal unless a label can have this value. Null is the empty text, as the API server reads it. */
export function decodeLabelValue(value: unknown, place: string): string {
  if (value === null || value === '') return ''
  if (typeof value === 'string' && isQualified(value)) return value
  throw new Refusal(
    place,
    `${show(value)} is not the value of a label`,
    'Write at most 63 letters, digits, `-`, `_` and `.`, in quotes where YAML would read a number.',
  )
}

/** Throws Refusal unless a container's port can have this name. */
export function decodePortName(value: string, place: string): string {
  const good = /^[-a-z0-9]+$/.test(value) && /[a-z]/.test(value) && !/^-|--|-$/.test(value)
  if (good && value.length <= LONGEST_PORT_NAME) return value
  throw new Refusal(
    place,
    `${show(value)} is not the name of a port`,
    'Write at most 15 lower-case letters, digits and single `-`, with a letter; a port by number has no quotes.',
  )
}
