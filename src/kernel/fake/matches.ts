import type { MatchExtension } from './extension.ts'
import { ICMP_MATCHES } from './match-icmp.ts'
import { INTERFACE_MATCHES } from './match-interface.ts'
import { STATE_MATCHES } from './match-state.ts'
import { TRANSPORT_MATCHES } from './match-transport.ts'

/** Every match that the fake interprets, by module name. */
export const MATCH_EXTENSIONS: ReadonlyMap<string, MatchExtension> = new Map(
  Object.entries({ ...ICMP_MATCHES, ...INTERFACE_MATCHES, ...STATE_MATCHES, ...TRANSPORT_MATCHES }),
)
