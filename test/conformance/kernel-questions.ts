import { randomBytes } from 'node:crypto'
import type { LabNode } from '../../src/lab/node.ts'
import { sctpInitPacket } from '../../src/lab/packet.ts'
import type { Outcome, Place, Probe } from '../../src/lab/probe.ts'
import type { Family } from '../../src/model/values.ts'
import type { Expectation } from './case.ts'

/** One end of a packet in the laboratory. */
export interface End extends Place {
  readonly address: string
  /** A host with many addresses: a socket has to be bound to the one that is meant. */
  readonly bound: boolean
  /** Whose agent sees the packet; null outside the cluster. */
  readonly node: LabNode | null
}

/** A verdict's question as packets ask it. */
export interface Question {
  readonly expected: Expectation
  readonly family: Family
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly from: End
  readonly to: End
  /** Where the packet is sent to: the other end, or a service before it. */
  readonly called: { readonly address: string; readonly port: number }
  readonly sourcePort: number
}

/** Each next one waits longer: silence takes its whole time, and a busy machine is no firewall. */
const PATIENCE_MS = [300, 1500, 5000] as const

/** Sends the packet; asks again where an answer ought to come and did not. */
export async function ask(probe: Probe, question: Question, hoped: boolean): Promise<Outcome> {
  let outcome: Outcome = 'timeout'
  for (const timeoutMs of PATIENCE_MS) {
    outcome = await askOnce(probe, question, timeoutMs)
    if (outcome === 'open' || !hoped) break
  }
  return outcome
}

async function askOnce(probe: Probe, question: Question, timeoutMs: number): Promise<Outcome> {
  const { protocol, from, called, sourcePort, expected } = question
  if (protocol === 'sctp') return sendInit(probe, question, timeoutMs)
  const chosen = from.bound || expected.via !== undefined
  const source = chosen ? { sourceAddress: from.address, sourcePort } : {}
  return (await probe[protocol](from, { ...called, ...source, timeoutMs })).outcome
}

/** There are no SCTP sockets: the chunk that opens an association is sent by hand, and counted where it is delivered. */
async function sendInit(probe: Probe, question: Question, timeoutMs: number): Promise<Outcome> {
  const { from, to, called, sourcePort } = question
  const match = randomBytes(4)
  const packet = sctpInitPacket({
    source: from.address,
    destination: called.address,
    sourcePort,
    destinationPort: called.port,
    tag: match.readUInt32BE(),
  })
  const { arrived } = await probe.inject(from, {
    packet,
    to: called.address,
    seenAt: to,
    delivered: true,
    match,
    timeoutMs,
  })
  return arrived > 0 ? 'open' : 'timeout'
}

/** Whether nothing came back at all, as where rules drop; a node is told of its own drops. */
export function isSilence(outcome: Outcome): boolean {
  return outcome === 'timeout' || outcome === 'unreachable' || outcome === 'prohibited'
}

/** Does the work for all items, so many at a time; the results are in the items' order. */
export async function inTurns<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const own = next++
      results[own] = await work(items[own]!)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  return results
}
