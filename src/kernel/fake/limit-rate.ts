import { usage } from './tool.ts'

/** The kernel counts in ten thousandths of a second. */
const SCALE = 10000
const UNITS: readonly (readonly [string, number])[] = [
  ['day', 86400 * SCALE],
  ['hour', 3600 * SCALE],
  ['min', 60 * SCALE],
  ['sec', SCALE],
]

/** `10/sec`, `10/s`, `10/minute`, `10` to the kernel's period between two packets. */
export function readRate(text: string): number {
  const match = /^(\d+)(?:\/([a-z]+))?$/i.exec(text)
  const unit = (match?.[2] ?? 'second').toLowerCase()
  const length = ['second', 'minute', 'hour', 'day'].find(name => name.startsWith(unit))
  const scale = UNITS.find(([name]) => length?.startsWith(name))?.[1]
  const count = Number(match?.[1] ?? 0)
  if (scale === undefined || count === 0) throw usage(`bad rate "${text}"'`)
  const period = Math.floor(scale / count)
  if (period === 0) throw usage(`Rate too fast "${text}"`)
  return period
}

/** As iptables-save prints it: the largest unit that holds a whole number of packets, near enough. */
export function showRate(period: number): string {
  let at = 1
  for (; at < UNITS.length; at++) {
    const scale = UNITS[at]![1]
    if (period > scale || Math.floor(scale / period) < scale % period) break
  }
  const [name, scale] = UNITS[at - 1]!
  return `${Math.floor(scale / period)}/${name}`
}
