import { PodfenceError } from '../errors.ts'
import type { Place, Target } from './probe.ts'
import type { ProbeProcess } from './probe-process.ts'

/** Who sends: the client (`up`), the server (`down`), both or neither. */
export type FlowDirection = 'up' | 'down' | 'both' | 'none'

export interface FlowOptions extends Target {
  readonly protocol: 'tcp' | 'udp'
  /** Records per second in each direction that sends. Default 100. */
  readonly rate?: number
  readonly direction?: FlowDirection
  /** UDP from the client only, begun without a word from the server: for what ought never to arrive. */
  readonly unanswered?: boolean
}

export interface FlowSide {
  readonly sent: number
  /** Records that arrived since the moment asked for, and in all. */
  readonly received: number
  readonly receivedInAll: number
  /** When the last one arrived (on the clock of `moment`), or 0. */
  readonly lastAt: number
  /** The longest silence between two arrivals since the moment asked for, in ms. */
  readonly longestGap: number
}

export interface FlowState {
  readonly state: 'open' | 'closed'
  readonly up: FlowSide
  readonly down: FlowSide
  /** TCP segments sent again by either side, in all. */
  readonly retransmitted: number
}

/** One TCP connection or UDP pair of ports with numbered records at a fixed rate. */
export interface Flow {
  readonly clientPort: number
  /** The client as the server sees it; null when the server was not asked. */
  readonly peer: string | null
  readonly peerPort: number | null
  /** What came of it, counted from a moment on. */
  read(since?: number): Promise<FlowState>
  /** From now on only these send. */
  direct(direction: FlowDirection): Promise<void>
  stop(): Promise<void>
}

/** Opens a flow to a server of `Probe.listen`. Throws PodfenceError when it does not come about. */
export async function openFlow(helper: ProbeProcess, from: Place, options: FlowOptions): Promise<Flow> {
  const { id, word, fields } = await helper.request('flow', {
    ns: from.namespace,
    to: options.address,
    port: options.port,
    from: options.sourceAddress,
    fromport: options.sourcePort,
    timeout: options.timeoutMs ?? 1000,
    protocol: options.protocol,
    rate: options.rate ?? 100,
    unanswered: options.unanswered || undefined,
    ...senders(options.direction ?? 'both'),
  })
  if (word !== 'open')
    throw new PodfenceError('USAGE', `No flow to ${options.address} port ${options.port}: ${word}.`)

  return {
    clientPort: Number(fields.get('fromport')),
    peer: fields.get('peer') ?? null,
    peerPort: fields.has('peerport') ? Number(fields.get('peerport')) : null,
    async read(since = 0) {
      const now = (await helper.request('flowed', { flow: id, since })).fields
      const side = (name: 'up' | 'down'): FlowSide => ({
        sent: Number(now.get(`${name}_sent`)),
        received: Number(now.get(`${name}_received`)),
        receivedInAll: Number(now.get(`${name}_total`)),
        lastAt: Number(now.get(`${name}_last`)),
        longestGap: Number(now.get(`${name}_gap`)),
      })
      return {
        state: now.get('state') === 'open' ? 'open' : 'closed',
        up: side('up'),
        down: side('down'),
        retransmitted: Number(now.get('retransmitted')),
      }
    },
    async direct(direction) {
      await helper.request('direct', { flow: id, ...senders(direction) })
    },
    async stop() {
      await helper.request('unflow', { flow: id })
    },
  }
}

function senders(direction: FlowDirection): { up: 0 | 1; down: 0 | 1 } {
  return {
    up: direction === 'up' || direction === 'both' ? 1 : 0,
    down: direction === 'down' || direction === 'both' ? 1 : 0,
  }
}
