import { setTimeout as pause } from 'node:timers/promises'
import type { Flow } from '../../../src/lab/flow.ts'
import type { LabPod } from '../../../src/lab/pod.ts'
import { moment, type Probe } from '../../../src/lab/probe.ts'
import type { Family } from '../../../src/model/values.ts'
import { until } from '../../until.ts'

export const PORT = 5000

/** Who may reach the server, who may not, and all that they try all the time. */
export interface Traffic {
  /** Packets of the stranger that reached the server since a moment (or in all), whatever they were. */
  leaked(since?: number): Promise<number>
  /** When the last of those came, to the millisecond; `since` when there were none. */
  lastLeak(since: number): Promise<number>
  /** What the friend has lost so far, in words; empty: nothing. Its flows rest while they are counted, and what is
   *  under way is waited for. */
  losses(): Promise<readonly string[]>
  /** Resolves when the stranger has tried some more. */
  goesOn(): Promise<void>
  /** Resolves when a new flow of the friend has come through to each address. */
  passes(): Promise<void>
  /** How much was tried: without it nothing arriving would say nothing. */
  tried(): Promise<{ readonly denied: number; readonly allowed: number }>
  /** Ends it; a second call does nothing. */
  stop(): Promise<void>
}

/** Records a second of each flow and direction. */
const RATE = 25
const DENIED_RATE = 100
const SOME = 100

/**
 * The friend keeps a TCP and a UDP flow in both directions and opens new ones; the stranger sends datagrams of
 * one flow and opens connections. Opened when the server takes the friend.
 */
export async function openTraffic(
  probe: Probe,
  families: readonly Family[],
  cast: { readonly server: LabPod; readonly friend: LabPod; readonly stranger: LabPod },
): Promise<Traffic> {
  const { server, friend, stranger } = cast
  const addressOf = (pod: LabPod, family: Family) => (family === 4 ? pod.address4 : pod.address6)!
  const targets = families.map(family => ({ address: addressOf(server, family), port: PORT }))
  const allowed: { readonly name: string; readonly flow: Flow }[] = []
  const denied: Flow[] = []
  for (const target of targets) {
    for (const protocol of ['tcp', 'udp'] as const)
      allowed.push({
        name: `${protocol} to ${target.address}`,
        flow: await probe.flow(friend, { ...target, protocol, rate: RATE, timeoutMs: 5000 }),
      })
    denied.push(
      await probe.flow(stranger, { ...target, protocol: 'udp', rate: DENIED_RATE, unanswered: true }),
    )
  }
  const captures = await Promise.all(
    families.map(family => probe.capture(server, { from: addressOf(stranger, family) })),
  )

  let over = false
  let connections = 0
  let greetings = 0
  const unanswered: string[] = []
  let greeting: Promise<void> = Promise.resolve()
  /** Whoever lives in the laboratory ends with it, so the last answer may be that it is gone. */
  const again = async (work: (target: { address: string; port: number }) => Promise<unknown>) => {
    for (let n = 0; !over; n++) {
      await work(targets[n % targets.length]!).catch(() => {})
      await pause(40)
    }
  }
  const greet = async (target: { address: string; port: number }) => {
    const { outcome } = await probe.udp(friend, { ...target, timeoutMs: 5000 })
    if (over) return
    greetings++
    if (outcome !== 'open') unanswered.push(`a new UDP flow to ${target.address}: ${outcome}`)
  }
  const trying = [
    again(async target => {
      await probe.tcp(stranger, { ...target, timeoutMs: 100 })
      connections++
    }),
    // One datagram on a port of its own: what is dropped is never answered, however patiently it is waited for.
    again(target => {
      greeting = greet(target)
      return greeting
    }),
  ]

  /** Everything that was sent has arrived, or never will. */
  const settled = async (flow: Flow) => {
    for (let tries = 0; ; tries++) {
      const state = await flow.read()
      const missing = state.up.sent - state.up.receivedInAll + state.down.sent - state.down.receivedInAll
      if (missing === 0 || tries === 40) return { ...state, missing }
      await pause(50)
    }
  }

  const tried = async () => {
    const count = (states: readonly { up: { sent: number }; down: { sent: number } }[]) =>
      states.reduce((sum, { up, down }) => sum + up.sent + down.sent, 0)
    return {
      denied: count(await Promise.all(denied.map(flow => flow.read()))) + connections,
      allowed: count(await Promise.all(allowed.map(({ flow }) => flow.read()))) + greetings,
    }
  }

  const leaked = async (since = 0) => {
    const seen = await Promise.all(captures.map(capture => capture.read(since)))
    return seen.reduce((sum, { came }) => sum + came, 0)
  }

  return {
    tried,
    async goesOn() {
      const before = (await tried()).denied
      await until('the stranger goes on', async () => (await tried()).denied > before + SOME)
    },
    leaked,
    async lastLeak(since) {
      let [before, after] = [since, moment()]
      while (after - before > 1) {
        const middle = (before + after) / 2
        if ((await leaked(middle)) > 0) before = middle
        else after = middle
      }
      return before
    },
    async losses() {
      await Promise.all(allowed.map(({ flow }) => flow.direct('none')))
      await greeting
      const found: string[] = [...unanswered]
      for (const { name, flow } of allowed) {
        const { state, missing, retransmitted } = await settled(flow)
        if (state !== 'open' || missing > 0 || retransmitted > 0)
          found.push(`${name}: ${state}, ${missing} lost, ${retransmitted} sent again`)
      }
      await Promise.all(allowed.map(({ flow }) => flow.direct('both')))
      return found
    },
    async passes() {
      for (const target of targets)
        await until(`the friend reaches ${target.address}`, async () => {
          const { outcome } = await probe.udp(friend, { ...target, timeoutMs: 500 })
          return outcome === 'open'
        })
    },
    async stop() {
      if (over) return
      over = true
      await Promise.all(trying)
      for (const flow of [...allowed.map(({ flow }) => flow), ...denied]) await flow.stop()
      for (const capture of captures) await capture.stop()
    },
  }
}
