import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { icmpPacket, tcpPacket, udpPacket } from '../../../src/lab/packet.ts'
import type { LabPod } from '../../../src/lab/pod.ts'
import type { Place, Probe } from '../../../src/lab/probe.ts'

/** What is in a frame that a pod sends past its own kernel. */
export interface Content {
  readonly source: string
  readonly destination: string
  readonly hops?: number
  readonly ports?: readonly [number, number]
  /** ICMP or ICMPv6, by the addresses' family. */
  readonly icmp?: readonly [type: number, code: number]
  /** A TCP data segment instead of a datagram. */
  readonly tcp?: true
}

export interface Attempt {
  readonly title: string
  readonly from: LabPod
  /** The frame's hardware addresses; default: its own, and its gateway's. */
  readonly mac?: string
  readonly toMac?: string
  readonly content: Content
  readonly seenAt: Place
  readonly passes: boolean
}

const FRAMES = 3

/** Sends every attempt's frames at once and holds what arrived against what ought to. */
export async function tryFrames(
  t: Test,
  probe: Probe,
  title: string,
  attempts: readonly Attempt[],
): Promise<void> {
  const wrong = await Promise.all(
    attempts.map(async attempt => {
      const { from, seenAt, passes } = attempt
      const mark = randomBytes(12)
      const { sent, arrived } = await probe.inject(from, {
        packet: packetOf(attempt.content, mark),
        frame: { interface: 'eth0', from: attempt.mac ?? from.mac, to: attempt.toMac ?? from.gatewayMac },
        seenAt,
        match: mark,
        count: FRAMES,
        timeoutMs: passes ? 2000 : 400,
      })
      const asExpected = sent === FRAMES && (passes ? arrived > 0 : arrived === 0)
      return asExpected ? [] : [`${attempt.title}: ${arrived} of ${sent} came through`]
    }),
  )
  t.same(wrong.flat(), [], title)
}

function packetOf({ source, destination, hops, ports, icmp, tcp }: Content, mark: Uint8Array): Uint8Array {
  const ends = { source, destination, ...(hops === undefined ? {} : { hops }) }
  if (icmp !== undefined)
    return icmpPacket({ ...ends, type: icmp[0], code: icmp[1] }, Buffer.concat([Buffer.alloc(4), mark]))
  const [sourcePort, destinationPort] = ports ?? [4000, 80]
  const named = { ...ends, sourcePort, destinationPort }
  if (!tcp) return udpPacket(named, mark)
  return tcpPacket({ ...named, sequence: 1, acknowledge: 1, flags: ['ack', 'psh'] }, mark)
}
