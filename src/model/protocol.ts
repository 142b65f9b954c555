/** Protocols with a name in rules; dccp is there because its ports can be matched like the others'. */
const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['tcp', 6],
  ['udp', 17],
  ['dccp', 33],
  ['icmpv6', 58],
  ['sctp', 132],
  ['udplite', 136],
])
const NAMES: ReadonlyMap<number, string> = new Map([...NUMBERS].map(([name, number]) => [number, name]))
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136])

export const ICMP = 1
export const ICMPV6 = 58
export const TCP = 6
export const UDP = 17

/** A protocol of a rule (lower-case name, or 1..255 as number or digits) to its number, or null. */
export function parseProtocol(value: unknown): number | null {
  if (typeof value === 'string') {
    const named = NUMBERS.get(value)
    if (named !== undefined) return named
    return /^[1-9][0-9]{0,2}$/.test(value) ? parseProtocol(Number(value)) : null
  }
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 255 ? value : null
}

/** The name, or the number as digits where there is none. */
export function protocolName(protocol: number): string {
  return NAMES.get(protocol) ?? String(protocol)
}

/** Whether a rule on this protocol may name ports. */
export function protocolHasPorts(protocol: number): boolean {
  return WITH_PORTS.has(protocol)
}
