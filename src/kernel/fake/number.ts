/** A number as the tools read it, `0x` and leading `0` for octal included, 0..limit; null when it is none. */
export function readNumber(text: string, limit: number): number | null {
  const radix = /^0x[0-9a-f]+$/i.test(text)
    ? 16
    : /^0[0-7]+$/.test(text)
      ? 8
      : /^(?:0|[1-9]\d*)$/.test(text)
        ? 10
        : 0
  if (radix === 0) return null
  const value = Number.parseInt(radix === 16 ? text.slice(2) : text, radix)
  return value <= limit ? value : null
}

/** `VALUE` or `VALUE/MASK`, 32 bits each; null when it is none. */
export function readMarkMask(text: string): { value: number; mask: number } | null {
  const slash = text.indexOf('/')
  const value = readNumber(slash < 0 ? text : text.slice(0, slash), 0xffffffff)
  const mask = slash < 0 ? 0xffffffff : readNumber(text.slice(slash + 1), 0xffffffff)
  return value === null || mask === null ? null : { value, mask }
}

export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`
}
