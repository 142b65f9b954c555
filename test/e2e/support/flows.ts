import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Flow, FlowDirection } from '../../../src/lab/flow.ts'
import type { MatrixPlace } from '../../../src/lab/matrix.ts'
import type { LabPod } from '../../../src/lab/pod.ts'
import { type Capture, moment, type Place, type Probe } from '../../../src/lab/probe.ts'
import type { Family } from '../../../src/model/values.ts'

/** How a client reaches a server. */
export interface Way {
  readonly name: string
  readonly client: Place
  readonly server: Place
  readonly address: string
  readonly port: number
}

interface OpenFlow {
  readonly name: string
  readonly way: Way
  readonly protocol: 'tcp' | 'udp'
  readonly direction: FlowDirection
  readonly flow: Flow
}

/** Open connections, and what their places see of them. */
export interface Flows {
  readonly all: readonly OpenFlow[]
  /** Fails naming each flow of which anything arrives from `since + 1000` on, and each place where a packet does. */
  silentWithinASecond(t: Test, title: string, since: number): Promise<void>
  /** Fails naming each flow (that passes `which`) of which nothing arrives within the patience. */
  flowing(t: Test, title: string, which?: (flow: OpenFlow) => boolean): Promise<void>
  /** Fails naming each way on which no new TCP connection comes about. */
  connect(t: Test, title: string): Promise<void>
  /** Fails naming each flow that lost a record or had to send a segment twice. Nobody sends afterwards. */
  unharmed(t: Test, title: string): Promise<void>
  stop(): Promise<void>
}

/** Records a second and direction of each flow: slow, since there are many. */
const RATE = 10
/** How long silence is listened to. */
const WINDOW_MS = 600
const PATIENCE_MS = 5000

/**
 * Opens each way over both protocols, once with both sides and once with only the server sending. `alone`: nothing
 * else goes on at their pods, so that every packet there counts, also one that is no record.
 */
export async function openFlows(
  probe: Probe,
  ways: readonly Way[],
  directions: readonly FlowDirection[] = ['both', 'down'],
  alone = true,
): Promise<Flows> {
  const wanted = ways.flatMap(way =>
    (['tcp', 'udp'] as const).flatMap(protocol =>
      directions.map(direction => ({
        way,
        protocol,
        direction,
        name: `${way.name} ${protocol}${direction === 'down' ? ', only the server sends' : ''}`,
      })),
    ),
  )
  const all = await Promise.all(wanted.map(async each => ({ ...each, flow: await opened(probe, each) })))
  // A node sees packets before its own rules drop them, so only pods tell.
  const pods = ways.flatMap(({ client, server }) => [client, server]).filter(place => 'mac' in place)
  const places = new Map(alone ? pods.map(place => [place.namespace, place]) : [])
  const captures: [string, Capture][] = []
  for (const [name, place] of places)
    for (const protocol of [6, 17])
      captures.push([
        `${protocol === 6 ? 'tcp' : 'udp'} at ${name}`,
        await probe.capture(place, { protocol, withoutResets: true }),
      ])

  return {
    all,
    async silentWithinASecond(t, title, since) {
      const from = since + 1000
      await pause(Math.max(0, from + WINDOW_MS - moment()))
      const heard: string[] = []
      for (const { name, flow } of all) {
        const { up, down } = await flow.read(from)
        if (up.received + down.received > 0)
          heard.push(`${name}: ${up.received} reached the server, ${down.received} the client`)
      }
      for (const [name, capture] of captures) {
        const { came } = await capture.read(from)
        if (came > 0) heard.push(`${name}: ${came} packets came`)
      }
      t.same(heard, [], title)
    },
    async flowing(t, title, which = () => true) {
      const from = moment()
      let silent: string[]
      do {
        await pause(50)
        silent = []
        for (const each of all.filter(which)) {
          const { up, down } = await each.flow.read(from)
          if (down.received === 0 || (each.direction === 'both' && up.received === 0)) silent.push(each.name)
        }
      } while (silent.length > 0 && moment() < from + PATIENCE_MS)
      t.same(silent, [], title)
    },
    async connect(t, title) {
      const replies = await Promise.all(
        ways.map(async ({ name, client, address, port }) => {
          const { outcome } = await probe.tcp(client, { address, port, timeoutMs: PATIENCE_MS })
          return outcome === 'open' ? [] : [`${name}: ${outcome}`]
        }),
      )
      t.same(replies.flat(), [], title)
    },
    async unharmed(t, title) {
      for (const { flow } of all) await flow.direct('none')
      await pause(100)
      const harmed: string[] = []
      for (const { name, flow } of all) {
        const { up, down, retransmitted, state } = await flow.read()
        const lost = up.sent - up.receivedInAll + down.sent - down.receivedInAll
        if (lost > 0 || retransmitted > 0 || state !== 'open')
          harmed.push(
            `${name}: ${state}, ${lost} of ${up.sent + down.sent} lost, ${retransmitted} sent again`,
          )
      }
      t.same(harmed, [], title)
    },
    async stop() {
      for (const { flow } of all) await flow.stop()
      for (const [, capture] of captures) await capture.stop()
    },
  }
}

/** A datagram that opens a flow is sent once; the moment a tuple is opened again is not the one it is enforced at. */
async function opened(
  probe: Probe,
  { way, protocol, direction, name }: Pick<OpenFlow, 'way' | 'protocol' | 'direction' | 'name'>,
): Promise<Flow> {
  const { client, address, port } = way
  for (let tries = 1; ; tries++) {
    try {
      return await probe.flow(client, { address, port, protocol, direction, rate: RATE, timeoutMs: 1500 })
    } catch (error) {
      if (tries === 3) throw new Error(`${name}: ${(error as Error).message}`)
    }
  }
}

/** The servers of some ports, in both protocols. */
export async function serve(
  probe: Probe,
  places: readonly LabPod[],
  ports: readonly number[],
): Promise<void> {
  for (const place of places)
    for (const port of ports)
      for (const protocol of ['tcp', 'udp'] as const) await probe.listen(place, { protocol, port })
}

/** The straight way for each pair of client and server, in each family. */
export function straight(
  pairs: readonly (readonly [MatrixPlace, MatrixPlace])[],
  families: readonly Family[],
  port: number,
): Way[] {
  return families.flatMap(family =>
    pairs.map(([client, server]) => ({
      name: `${client.name} to ${server.name} IPv${family}`,
      client,
      server,
      address: (family === 4 ? server.address4 : server.address6)!,
      port,
    })),
  )
}
