import { randomBytes } from 'node:crypto'
import type { Ask, MatrixPlace } from '../../../src/lab/matrix.ts'
import { icmpPacket, sctpInitPacket } from '../../../src/lab/packet.ts'
import type { Place, Probe, Target } from '../../../src/lab/probe.ts'

/**
 * How scenarios write a question:
 *
 *     80        TCP, an answer has to come back        u53     UDP, likewise
 *     80<1024   TCP from source port 1024              ping    ICMP echo, or ICMPv6
 *     i13/0     an ICMP packet of type 13, code 0 that has to arrive (ICMPv6 in IPv6)
 *     s5000     an SCTP association's first packet, likewise
 */
export interface Question {
  readonly text: string
  readonly ask: Ask<MatrixPlace>
  /** The server that has to be there, so that silence means denied. */
  readonly server: { readonly protocol: 'tcp' | 'udp'; readonly port: number } | null
}

const FORM =
  /^(?:(?<tcp>\d+)|u(?<udp>\d+)|(?<ping>ping)|i(?<type>\d+)\/(?<code>\d+)|s(?<sctp>\d+))(?:<(?<from>\d+))?$/

/** `80 u53 ping` as questions. Throws Error for a word that is none. */
export function questions(probe: Probe, text: string, placeOf: (address: string) => Place): Question[] {
  return text.split(' ').map(word => {
    const found = FORM.exec(word)?.groups
    if (found === undefined) throw new Error(`${word} is not a question`)
    const { tcp, udp, ping, type, code, sctp, from } = found
    const source = from === undefined ? {} : { sourcePort: Number(from) }
    const echo = (protocol: 'tcp' | 'udp', port: number): Question => ({
      text: word,
      ask: async (place, target) => (await probe[protocol](place, { ...target, ...source, port })).outcome,
      server: { protocol, port },
    })
    if (tcp !== undefined) return echo('tcp', Number(tcp))
    if (udp !== undefined) return echo('udp', Number(udp))
    if (ping !== undefined)
      return {
        text: word,
        ask: async (place, target) => (await probe.ping(place, target)).outcome,
        server: null,
      }
    const arrives = async (place: MatrixPlace, target: Target): Promise<string> => {
      const ends = {
        source: (target.address.includes(':') ? place.address6 : place.address4)!,
        destination: target.address,
      }
      const mark = randomBytes(4)
      const packet =
        sctp === undefined
          ? icmpPacket({ ...ends, type: Number(type), code: Number(code) }, mark)
          : sctpInitPacket({
              ...ends,
              sourcePort: 5000,
              destinationPort: Number(sctp),
              tag: mark.readUInt32BE(),
            })
      const { arrived } = await probe.inject(place, {
        packet,
        to: target.address,
        seenAt: placeOf(target.address),
        match: mark,
        timeoutMs: target.timeoutMs ?? 300,
      })
      return arrived > 0 ? 'open' : 'timeout'
    }
    return { text: word, ask: arrives, server: null }
  })
}
