import type { Processes } from '../kernel/process.ts'
import { type Flow, type FlowOptions, openFlow } from './flow.ts'
import { type Answer, startProbeProcess } from './probe-process.ts'

/** Anything with a network namespace of its own: a pod, a node, the external host. `.` is the sandbox itself. */
export interface Place {
  readonly namespace: string
}

/** `open`: an answer came back. Every other word says that none did, and why if it is known. */
export type Outcome =
  | 'open'
  | 'timeout'
  | 'refused'
  | 'reset'
  | 'closed'
  | 'unreachable'
  | 'prohibited'
  | string

export interface Reply {
  readonly outcome: Outcome
  /** The client's address and port as the server saw them (ping: who answered). */
  readonly peer: string | null
  readonly peerPort: number | null
  readonly ms: number
}

/** Where a probe goes, and what it comes from if that matters. Waits 300 ms for an answer unless told otherwise. */
export interface Target {
  readonly address: string
  readonly port: number
  readonly sourceAddress?: string
  readonly sourcePort?: number
  readonly timeoutMs?: number
}

export interface Arrivals {
  readonly sent: number
  readonly arrived: number
}

export interface Injection {
  /** The whole IP packet, built by packet.ts. */
  readonly packet: Uint8Array
  /** The next destination for the kernel's routing (`fe80::1%eth0` names its interface). */
  readonly to?: string
  /** Sends a frame past the kernel's routing instead, with these hardware addresses. */
  readonly frame?: { readonly interface: string; readonly from: string; readonly to: string }
  /** Where it is to be seen, and bytes that only this packet holds. */
  readonly seenAt?: Place
  readonly seenOn?: string
  /** Counts it behind the rules of that place, as a socket of its protocol gets it, instead of before them. */
  readonly delivered?: boolean
  readonly match?: Uint8Array
  readonly count?: number
  readonly timeoutMs?: number
}

export interface PacketFilter {
  readonly protocol?: number
  readonly from?: string
  readonly to?: string
  readonly fromPort?: number
  readonly toPort?: number
  /** Only on this interface of the place. */
  readonly interface?: string
  /** TCP resets do not count: a node answers with them what comes to an address of its own that nobody serves. */
  readonly withoutResets?: true
}

/** Packets at a place, counted from a moment on (see `moment`): those that came, those that left. */
export interface Capture {
  read(since?: number): Promise<{ readonly came: number; readonly left: number }>
  stop(): Promise<void>
}

export interface Probe {
  /** Serves echoes on a port; TCP and UDP servers tell each client the address they see. Default: all addresses of a family. */
  listen(at: Place, server: { protocol: 'tcp' | 'udp'; port: number; address?: string }): Promise<void>
  /** `silent`: a connection is enough, the server need not be one of `listen`. */
  tcp(from: Place, target: Target & { readonly silent?: boolean }): Promise<Reply>
  udp(from: Place, target: Target): Promise<Reply>
  ping(from: Place, target: Omit<Target, 'port' | 'sourcePort' | 'sourceAddress'>): Promise<Reply>
  /** Datagrams counted by the server that they reach, which answers nothing. */
  oneWay(
    from: Place,
    target: Target & { readonly count?: number },
  ): Promise<Arrivals & { readonly peer: string | null }>
  /** Sends text over TCP and reads until the server closes; null when that did not come about. */
  exchange(from: Place, target: Target, text: string): Promise<string | null>
  /** Sends a hand-made packet and counts it where it arrives. */
  inject(from: Place, injection: Injection): Promise<Arrivals>
  capture(at: Place, filter: PacketFilter): Promise<Capture>
  flow(from: Place, options: FlowOptions): Promise<Flow>
  /** Closes every socket in a namespace. Needed before it is deleted: a socket keeps it alive. */
  forget(place: Place): Promise<void>
  close(): Promise<void>
}

/** Now, on the clock by which flows and captures count: milliseconds. */
export function moment(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export function openProbe(processes: Processes): Probe {
  const helper = startProbeProcess(processes)
  const client = (from: Place, target: Omit<Target, 'port'> & { readonly port?: number }) => ({
    ns: from.namespace,
    to: target.address,
    port: target.port,
    from: target.sourceAddress,
    fromport: target.sourcePort,
    timeout: target.timeoutMs ?? 300,
  })

  return {
    async listen(at, { protocol, port, address }) {
      for (const bind of address === undefined ? ['0.0.0.0', '::'] : [address])
        await helper.request('listen', { ns: at.namespace, protocol, port, at: bind })
    },
    tcp: async (from, target) =>
      asReply(await helper.request('tcp', { ...client(from, target), silent: target.silent || undefined })),
    udp: async (from, target) => asReply(await helper.request('udp', client(from, target))),
    ping: async (from, target) => asReply(await helper.request('ping', client(from, target))),
    async oneWay(from, target) {
      const answer = await helper.request('oneway', { ...client(from, target), count: target.count ?? 1 })
      const peer = answer.fields.get('peer') ?? '-'
      return { ...asArrivals(answer), peer: peer === '-' ? null : peer }
    },
    async exchange(from, target, text) {
      const send = Buffer.from(text).toString('hex')
      const answer = await helper.request('tcp', { ...client(from, target), send })
      return answer.word === 'open' ? Buffer.from(answer.fields.get('data') ?? '', 'hex').toString() : null
    },
    async inject(from, injection) {
      const answer = await helper.request('inject', {
        ns: from.namespace,
        packet: Buffer.from(injection.packet).toString('hex'),
        to: injection.to,
        link: injection.frame?.interface,
        frommac: injection.frame?.from.replaceAll(':', ''),
        tomac: injection.frame?.to.replaceAll(':', ''),
        watch: injection.seenAt?.namespace,
        watchlink: injection.seenOn,
        delivered: injection.delivered || undefined,
        match: Buffer.from(injection.match ?? injection.packet).toString('hex'),
        count: injection.count ?? 1,
        timeout: injection.timeoutMs ?? 300,
      })
      return asArrivals(answer)
    },
    async capture(at, filter) {
      const { id } = await helper.request('capture', {
        ns: at.namespace,
        link: filter.interface,
        protocol: filter.protocol,
        from: filter.from,
        to: filter.to,
        fromport: filter.fromPort,
        toport: filter.toPort,
        reset: filter.withoutResets ? 0 : undefined,
      })
      return {
        async read(since = 0) {
          const { fields } = await helper.request('captured', { capture: id, since })
          return { came: Number(fields.get('came')), left: Number(fields.get('left')) }
        },
        async stop() {
          await helper.request('captured', { capture: id, since: 0, stop: 1 })
        },
      }
    },
    flow: (from, options) => openFlow(helper, from, options),
    async forget(place) {
      await helper.request('forget', { ns: place.namespace })
    },
    close: () => helper.close(),
  }
}

function asReply({ word, fields }: Answer): Reply {
  const port = fields.get('peerport')
  return {
    outcome: word,
    peer: fields.get('peer') ?? null,
    peerPort: port === undefined ? null : Number(port),
    ms: Number(fields.get('ms')),
  }
}

function asArrivals({ fields }: Answer): Arrivals {
  return { sent: Number(fields.get('sent')), arrived: Number(fields.get('count')) }
}
