import { Refusal, show } from './refusal.ts'

/** What the kernel and the rules can both hold; `+` is iptables' wildcard and never part of a name here. */
const INTERFACE = /^[A-Za-z0-9_.-]{1,15}$/

export function isInterfaceName(text: string): boolean {
  return INTERFACE.test(text) && text !== '.' && text !== '..'
}

/** Throws Refusal unless `value` names an interface. */
export function decodeInterfaceName(value: unknown, place: string): string {
  if (typeof value === 'string' && isInterfaceName(value)) return value
  throw new Refusal(
    place,
    `${show(value)} is not an interface name`,
    'Use 1 to 15 letters, digits, `_`, `.` and `-`.',
  )
}
