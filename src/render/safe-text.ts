/** What a comment may hold in all, and what NFLOG keeps of a prefix (64 with its final zero byte). */
export const COMMENT_BYTES = 64
export const NFLOG_PREFIX_BYTES = 63

/**
 * Any text as one that is harmless inside a rule and a message: each character outside
 * `[A-Za-z0-9_.:/-]` becomes `_`, and what is longer than `limit` bytes is cut.
 */
export function safeText(text: string, limit: number): string {
  // Cut before the replacement too, so that a text of megabytes costs nothing.
  return text
    .slice(0, limit)
    .replace(/[^A-Za-z0-9_.:/-]/g, '_')
    .slice(0, limit)
}

/** Any text as one line of printable ASCII for logs and status, at most 200 characters. */
export function messageText(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '_')
}

/** As iptables-save prints an argument: bare when all of it is a plain word, else in quotes. `text` is safe text. */
export function quoted(text: string): string {
  return /^[A-Za-z0-9_-]+$/.test(text) ? text : `"${text}"`
}

/** Whether a text holds only printable ASCII: the guard before a rule leaves this folder. */
export function isPlain(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

/** An interface name as the kernel and iptables both take it literally: a final `+` would be a wildcard. */
export function isInterfaceName(text: string): boolean {
  return /^[A-Za-z0-9_.-]{1,15}$/.test(text)
}

/** An Ethernet address as iptables 1.8.9 prints it (lower case), or null. */
export function canonicalMac(text: string): string | null {
  const lower = text.toLowerCase()
  return /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/.test(lower) ? lower : null
}
