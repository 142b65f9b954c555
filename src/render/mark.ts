import { PodfenceError } from '../errors.ts'

/** The three bits of the packet mark that podfence uses while it judges a packet. */
export interface Marks {
  /** Some rule has allowed the packet. */
  readonly accept: number
  /** A policy has passed the packet on to the next tier. */
  readonly pass: number
  /** The packet came through FORWARD, so its outgoing interface is the final one. */
  readonly forwarded: number
  readonly all: number
}

/**
 * The lowest three bits of `mask`.
 * @throws PodfenceError CONFIG_INVALID when the mask has fewer, or is no 32-bit number.
 */
export function marksOf(mask: number): Marks {
  const bits: number[] = []
  if (Number.isInteger(mask) && mask > 0 && mask <= 0xffffffff) {
    // Not with `&`: JavaScript's bit operators are signed, and the highest bit would come out negative.
    for (let bit = 1; bit <= 0x80000000 && bits.length < 3; bit *= 2)
      if (Math.floor(mask / bit) % 2 === 1) bits.push(bit)
  }
  const [accept, pass, forwarded] = bits
  if (accept === undefined || pass === undefined || forwarded === undefined)
    throw new PodfenceError('CONFIG_INVALID', `the mark mask ${mask} must have at least three of 32 bits`)
  return { accept, pass, forwarded, all: accept + pass + forwarded }
}

/** As iptables-save prints a mark. */
export function markText(value: number): string {
  return `0x${value.toString(16)}`
}
