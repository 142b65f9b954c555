/**
 * How iptables-save prints a protocol. These come from iptables itself or are the same in every
 * /etc/protocols; the others are printed as that file names them, and as numbers where it is missing.
 */
const FIXED: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'ipv6-icmp'],
  [132, 'sctp'],
  [136, 'udplite'],
])

/** `protocol` is 1..255; `names` is this host's /etc/protocols, or absent. */
export function protocolText(protocol: number, names?: ReadonlyMap<number, string>): string {
  const fixed = FIXED.get(protocol)
  if (fixed !== undefined) return fixed
  const name = names?.get(protocol)
  return name !== undefined && /^[A-Za-z][A-Za-z0-9.+-]{0,31}$/.test(name) ? name : String(protocol)
}
