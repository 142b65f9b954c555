import { cidrContains, formatAddress, parseCidr } from '../../model/cidr.ts'
import type { Seen } from './packet.ts'
import type { World } from './world.ts'

const LINK_LOCAL = parseCidr('fe80::/10')!
const GROUPS_OF_THE_LINK = parseCidr('224.0.0.0/24')!
const THIS_NETWORK = parseCidr('0.0.0.0/8')!
const EVERYBODY = 0xffffffffn

/**
 * Whether an answer would leave by the interface that the packet came by, as `-m rpfilter` without
 * `--invert` asks. As in the kernel, what has no source yet passes (DHCP's 0.0.0.0 to everybody, `::`),
 * and a link-local source belongs to the link it came by.
 */
export function passesReversePath(
  seen: Seen,
  world: World,
  manner: { readonly loose: boolean; readonly acceptLocal: boolean },
): boolean {
  const { src, dst } = seen
  if (seen.in === 'lo') return true
  if (src.family === 4 && cidrContains(THIS_NETWORK, src)) {
    if (dst.value === EVERYBODY || cidrContains(GROUPS_OF_THE_LINK, dst)) return true
  }
  if (src.family === 6 && src.value === 0n) return true
  if (cidrContains(LINK_LOCAL, src)) return true
  if (world.local.has(formatAddress(src.value, src.family))) return manner.acceptLocal
  const routes = world.routes.filter(route => cidrContains(route.net, src))
  const longest = Math.max(...routes.map(route => route.net.length))
  return routes.some(route => route.net.length === longest && (manner.loose || route.interface === seen.in))
}
