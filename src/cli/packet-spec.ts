import { PodfenceError } from '../errors.ts'
import { ICMP, ICMPV6, parseProtocol, protocolHasPorts } from '../model/protocol.ts'
import type { ExplainQuestion } from '../runtime/explain.ts'

/** What `--port` says of a packet. */
export type PacketSpec = Omit<ExplainQuestion, 'source' | 'destination'>

/**
 * `tcp/80`, `udp/53`, `icmp/8` or `icmp/8/0` (type and code), `icmpv6/128`, or a protocol alone. `sourcePort`: the
 * text of `--source-port`. Throws USAGE.
 */
export function packetSpec(text: string, sourcePort: string | undefined): PacketSpec {
  const [name = '', ...numbers] = text.split('/')
  const protocol = parseProtocol(/^[0-9]+$/.test(name) ? Number(name) : name)
  const wrong = (problem: string) =>
    new PodfenceError(
      'USAGE',
      `--port ${text}: ${problem} Write tcp/80, udp/53, icmp/8/0 or a protocol alone.`,
    )
  if (protocol === null) throw wrong(`${JSON.stringify(name)} is no protocol.`)
  const isIcmp = protocol === ICMP || protocol === ICMPV6
  const most = isIcmp ? 2 : protocolHasPorts(protocol) ? 1 : 0
  if (numbers.length > most) throw wrong(`${name} takes ${most === 0 ? 'no number' : `at most ${most}`}.`)
  const values = numbers.map(number => {
    const value = /^(0|[1-9][0-9]*)$/.test(number) ? Number(number) : Number.NaN
    const highest = isIcmp ? 255 : 65_535
    if (!(value <= highest)) throw wrong(`${JSON.stringify(number)} is no number from 0 to ${highest}.`)
    return value
  })
  const [first, second] = values
  const from =
    sourcePort === undefined ? undefined : packetSpec(`tcp/${sourcePort}`, undefined).destinationPort
  return {
    protocol,
    ...(from === undefined ? {} : { sourcePort: from }),
    ...(first === undefined ? {} : isIcmp ? { icmpType: first } : { destinationPort: first }),
    ...(second === undefined ? {} : { icmpCode: second }),
  }
}
