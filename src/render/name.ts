import { hash } from 'node:crypto'
import type { Family } from '../model/values.ts'

/** Everything of ours in the kernel carries this prefix. */
export const PREFIX = 'podf-'

/** XT_EXTENSION_MAXNAMELEN and IPSET_MAXNAMELEN, each without the final zero byte. */
export const CHAIN_NAME_BYTES = 28
export const SET_NAME_BYTES = 31

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** Fifteen bytes, 120 bits: as much as the longest name of ours has room for. */
const HASH_BYTES = 15

/** Lower-case base32 (RFC 4648) of the beginning of the SHA-256 of `text`: 24 characters. */
export function base32Hash(text: string): string {
  // In one call and as text: a cold start makes ten thousand of these.
  const digest = hash('sha256', text, 'binary')
  let out = ''
  let bits = 0
  let held = 0
  for (let at = 0; at < HASH_BYTES; at++) {
    held = (held << 8) | digest.charCodeAt(at)
    bits += 8
    while (bits >= 5) {
      bits -= 5
      out += ALPHABET[(held >> bits) & 31]
    }
    held &= (1 << bits) - 1
  }
  return out
}

/** Parts as one text that no other parts give, whatever they hold: each carries its length. */
export function identityOf(parts: readonly string[]): string {
  return parts.map(part => `${part.length}:${part}`).join('')
}

/** What a name stands for. `in` and `out` are rule lists, `f`, `t` and `s` branches of dispatch trees. */
export type ChainKind = 'in' | 'out' | 'from' | 'to' | 'f' | 't' | 's'

export type Hash = (text: string) => string

/** `podf-KIND-HASH`, 28 characters long. */
export function chainName(kind: ChainKind, parts: readonly string[], hash: Hash = base32Hash): string {
  return `${PREFIX}${kind}-${hash(identityOf(parts))}`.slice(0, CHAIN_NAME_BYTES)
}

/** `podf-4-HASH` or `podf-6-HASH`, 31 characters long. */
export function setName(parts: readonly string[], family: Family, hash: Hash = base32Hash): string {
  return `${PREFIX}${family}-${hash(identityOf(parts))}`.slice(0, SET_NAME_BYTES)
}

/** Two identities that hash to one name: the second gets no chain or set, and is closed where it is used. */
export interface NameCollision {
  readonly name: string
  readonly holder: string
  readonly refused: string
}

/** Which identity holds which name, so that two of them never share one. */
export class NameBook {
  readonly #holders = new Map<string, string>()
  readonly #names = new Map<string, string>()
  readonly #collisions = new Map<string, NameCollision>()

  /** The collision when another identity holds the name, else null; a claim made twice is one claim. */
  claim(identity: string, name: string): NameCollision | null {
    const holder = this.#holders.get(name)
    if (holder !== undefined && holder !== identity) {
      const collision = { name, holder, refused: identity }
      this.#collisions.set(identity, collision)
      return collision
    }
    this.#collisions.delete(identity)
    this.#holders.set(name, identity)
    this.#names.set(identity, name)
    return null
  }

  /** The name an identity holds; null when it claimed none or was refused. */
  nameOf(identity: string): string | null {
    return this.#names.get(identity) ?? null
  }

  release(identity: string): void {
    this.#collisions.delete(identity)
    const name = this.#names.get(identity)
    if (name === undefined) return
    this.#names.delete(identity)
    this.#holders.delete(name)
  }

  collisions(): NameCollision[] {
    return [...this.#collisions.values()]
  }
}
